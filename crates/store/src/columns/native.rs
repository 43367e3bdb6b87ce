//! Where the native API calls a field otherwise than RESO does: both fill the same typed column.
//!
//! The body keeps the names as served. RESO's name wins where a record has both.

use spark_domain::{Relation, Resource};

/// The native name, and the RESO field whose column it fills.
type Alias = (&'static str, &'static str);

/// The other names of a resource's fields.
pub(crate) const fn of_resource(resource: Resource) -> &'static [Alias] {
    match resource {
        Resource::Property => &[
            ("BedsTotal", "BedroomsTotal"),
            ("BathsTotal", "BathroomsTotalInteger"),
            ("BathsFull", "BathroomsFull"),
            ("BathsHalf", "BathroomsHalf"),
            ("BathsThreeQuarter", "BathroomsThreeQuarter"),
            ("TaxAmount", "TaxAnnualAmount"),
            ("ListAgentId", "ListAgentKey"),
            ("ListAgentName", "ListAgentFullName"),
            ("CoListAgentId", "CoListAgentKey"),
            ("ListOfficeId", "ListOfficeKey"),
            ("CoListOfficeId", "CoListOfficeKey"),
            ("BuyerAgentId", "BuyerAgentKey"),
            ("BuyerAgentName", "BuyerAgentFullName"),
            ("CoBuyerAgentId", "CoBuyerAgentKey"),
            ("BuyerOfficeId", "BuyerOfficeKey"),
            ("CoBuyerOfficeId", "CoBuyerOfficeKey"),
            // Whether the seller lets the listing, and its address, be shown: display sites must ask.
            ("PermitInternetYN", "InternetEntireListingDisplayYN"),
            ("PermitAddressInternetYN", "InternetAddressDisplayYN"),
        ],
        Resource::Member => &[
            ("Name", "MemberFullName"),
            ("ShortId", "MemberMlsId"),
            ("FirstName", "MemberFirstName"),
            ("LastName", "MemberLastName"),
            ("UserLevel", "MemberType"),
            ("OfficeId", "OfficeKey"),
            ("Office", "OfficeName"),
        ],
        Resource::Office => &[("Name", "OfficeName"), ("ShortId", "OfficeMlsId")],
        Resource::OpenHouse => &[
            ("OpenHouseStartTimestamp", "OpenHouseStartTime"),
            ("OpenHouseEndTimestamp", "OpenHouseEndTime"),
            ("Comments", "OpenHouseRemarks"),
            ("Type", "OpenHouseType"),
        ],
        Resource::Teams | Resource::Lookup => &[],
    }
}

/// The other names of a relation's fields.
pub(crate) const fn of_relation(relation: Relation) -> &'static [Alias] {
    match relation {
        Relation::Media => &[
            ("UriLarge", "MediaURL"),
            ("Uri", "MediaURL"),
            ("Primary", "PreferredPhotoYN"),
            ("Name", "ShortDescription"),
            ("Caption", "LongDescription"),
        ],
        _ => &[],
    }
}
