//! The words that a feed's settings may have.

use chrono_tz::Tz;
use spark_domain::walk::Paging;
use spark_domain::{Relation, Resource};
use url::{Host, Url};

/// The dialect a feed speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// The RESO Web API.
    Reso,
}

/// How the token is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authorization {
    /// `Authorization: Bearer TOKEN`.
    Bearer,
    /// `Authorization: OAuth TOKEN`, which some keys insist on.
    OAuth,
}

pub(super) const APIS: &[(&str, Api)] = &[("reso", Api::Reso)];
pub(super) const AUTHORIZATIONS: &[(&str, Authorization)] =
    &[("Bearer", Authorization::Bearer), ("OAuth", Authorization::OAuth)];
pub(super) const PAGINGS: &[(&str, Paging)] = &[("next_link", Paging::NextLink), ("key", Paging::Key)];

/// A feed's root: https, or plain http to this machine.
pub(super) fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| {
        format!("{error}; write it like https://replication.sparkapi.com/Version/3/Reso/OData")
    })?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return Err("the token would travel in the open; write https://".to_owned()),
        _ => return Err("write a URL that begins with https://".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "remove the user and password from the URL; the token has a setting of its own".to_owned()
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("remove what follows the path; write the expression into filter".to_owned());
    }
    Ok(url)
}

pub(super) fn time_zone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| "write a time zone's name like \"America/New_York\" or \"UTC\"".to_owned())
}

pub(super) fn resource(text: &str) -> Result<Resource, String> {
    text.parse().map_err(|error: spark_domain::resource::UnknownResource| error.to_string())
}

/// A relation that this resource has (the navigation properties of Spark's `$metadata`).
pub(super) fn relation_of(resource: Resource, text: &str) -> Result<Relation, String> {
    let relation =
        text.parse().map_err(|error: spark_domain::relation::UnknownRelation| error.to_string())?;
    let has = relations_of(resource);
    if has.contains(&relation) {
        return Ok(relation);
    }
    let has: Vec<_> = has.iter().map(|relation| relation.as_str()).collect();
    let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
    Err(format!("{resource} has no relation {relation}; it has {has}"))
}

pub(super) fn filter(text: &str) -> Result<String, String> {
    if text.trim_start().starts_with('$') || text.contains("&$") {
        return Err(
            "write the expression alone, like StandardStatus eq 'Active', without $filter=".to_owned()
        );
    }
    Ok(text.trim().to_owned())
}

/// A field that may be left out: we need the keys and the stamps.
pub(super) fn field(text: &str) -> Result<String, String> {
    let needed = text == "ModificationTimestamp" || Resource::ALL.iter().any(|r| r.key_field() == text);
    if needed {
        Err("the replication itself needs this field; it cannot be excluded".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn relations_of(resource: Resource) -> Vec<Relation> {
    use Relation as R;
    match resource {
        Resource::Property => vec![
            R::Media,
            R::Room,
            R::Unit,
            R::OpenHouse,
            R::GreenVerification,
            R::PowerProduction,
            R::RentalCalendar,
            R::HistoryTransactional,
        ],
        Resource::Member => vec![
            R::Media,
            R::SocialMedia,
            R::Association,
            R::DelegatedAccess,
            R::ExternalProducts,
            R::TeamMembers,
        ],
        Resource::Office | Resource::Teams => {
            vec![R::Media, R::SocialMedia, R::Association, R::DelegatedAccess, R::ExternalProducts]
        }
        Resource::OpenHouse | Resource::Lookup => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_never_travels_in_the_open() {
        assert!(base_url("https://replication.sparkapi.com/Version/3/Reso/OData").is_ok());
        for loopback in ["http://127.0.0.1:8080/odata", "http://localhost/", "http://[::1]:1/x"] {
            assert!(base_url(loopback).is_ok(), "{loopback} was refused");
        }
        for bad in ["http://sparkapi.com/", "ftp://a/", "https://u:p@a/", "https://a/?$filter=x", "nonsense"]
        {
            assert!(base_url(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_relation_must_be_one_of_its_resource() {
        assert!(relation_of(Resource::Property, "Room").is_ok());
        let said = relation_of(Resource::Office, "Room");
        assert!(
            matches!(&said, Err(text) if text.contains("Office has no relation Room; it has Media")),
            "{said:?}"
        );
    }
}
