//! The words that a feed's settings may have.

use chrono_tz::Tz;
use spark_domain::walk::Paging;
use spark_domain::{Relation, Resource};
use spark_fetcher::Api;
use url::{Host, Url};

use crate::config::units;

/// How the token is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authorization {
    /// `Authorization: Bearer TOKEN`.
    Bearer,
    /// `Authorization: OAuth TOKEN`, which some keys insist on.
    OAuth,
}

pub(super) const APIS: &[(&str, Api)] = &[("reso", Api::Reso), ("spark", Api::Spark)];
pub(super) const AUTHORIZATIONS: &[(&str, Authorization)] =
    &[("Bearer", Authorization::Bearer), ("OAuth", Authorization::OAuth)];
const PAGINGS: &[(&str, Paging)] = &[("next_link", Paging::NextLink), ("key", Paging::Key)];

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

/// Where a dialect is spoken, unless somebody writes an address.
pub(super) const fn default_base_url(api: Api) -> &'static str {
    match api {
        Api::Reso => "https://replication.sparkapi.com/Version/3/Reso/OData",
        Api::Spark => "https://replication.sparkapi.com/v1",
    }
}

/// A resource that this dialect lists.
pub(super) fn resource(api: Api, text: &str) -> Result<Resource, String> {
    let resource: Resource =
        text.parse().map_err(|error: spark_domain::resource::UnknownResource| error.to_string())?;
    if api.lists(resource) {
        return Ok(resource);
    }
    Err(format!("the native API does not list {resource}; remove it, or set api = \"reso\""))
}

/// How a feed may be paged in this dialect.
pub(super) fn paging(api: Api, text: &str) -> Result<Paging, String> {
    match units::word(PAGINGS)(text)? {
        Paging::Key if api == Api::Spark => {
            Err("the native API is paged by its own tokens; remove this".to_owned())
        }
        paging => Ok(paging),
    }
}

/// A relation that this resource has (the navigation properties of Spark's `$metadata`, the native API's
/// expansions).
pub(super) fn relation_of(api: Api, resource: Resource, text: &str) -> Result<Relation, String> {
    let relation =
        text.parse().map_err(|error: spark_domain::relation::UnknownRelation| error.to_string())?;
    let mut has = relations_of(resource);
    has.retain(|relation| api.expands(resource, *relation));
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
            R::CustomFields,
            R::CustomFieldsRaw,
            R::CustomFieldsExpandedRaw,
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
        assert!(relation_of(Api::Reso, Resource::Property, "Room").is_ok());
        let said = relation_of(Api::Reso, Resource::Office, "Room");
        assert!(
            matches!(&said, Err(text) if text.contains("Office has no relation Room; it has Media")),
            "{said:?}"
        );
        let said = relation_of(Api::Spark, Resource::Office, "Media");
        assert!(matches!(&said, Err(text) if text.contains("it has none")), "{said:?}");
        assert!(relation_of(Api::Spark, Resource::Property, "CustomFieldsRaw").is_ok());
        assert!(relation_of(Api::Reso, Resource::Property, "CustomFieldsRaw").is_err());
    }

    #[test]
    fn the_native_api_lists_four_resources_and_pages_by_tokens() {
        assert!(resource(Api::Spark, "OpenHouse").is_ok() && resource(Api::Reso, "Lookup").is_ok());
        assert!(resource(Api::Spark, "Lookup").is_err());
        assert!(paging(Api::Spark, "key").is_err() && paging(Api::Spark, "next_link").is_ok());
        assert_eq!(paging(Api::Reso, "key"), Ok(Paging::Key));
    }
}
