//! The typed columns of `mls.open_house` and `mls.lookup`.

use spark_domain::Resource;

use super::{Column, ColumnList, boolean, date, fields_of, native, text, timestamp};

pub(crate) const OPEN_HOUSE: ColumnList = ColumnList {
    columns: &OPEN_HOUSES,
    fields: &fields_of(&OPEN_HOUSES),
    others: native::of_resource(Resource::OpenHouse),
};

pub(crate) const LOOKUP: ColumnList = ColumnList {
    columns: &LOOKUPS,
    fields: &fields_of(&LOOKUPS),
    others: native::of_resource(Resource::Lookup),
};

const OPEN_HOUSES: [Column; 12] = [
    text("ListingKey"),
    text("ListingId"),
    text("OpenHouseId"),
    text("OpenHouseType"),
    text("OpenHouseStatus"),
    date("OpenHouseDate"),
    timestamp("OpenHouseStartTime"),
    timestamp("OpenHouseEndTime"),
    text("OpenHouseRemarks"),
    text("LivestreamOpenHouseURL"),
    text("ShowingAgentKey"),
    boolean("AppointmentRequiredYN"),
];

const LOOKUPS: [Column; 4] =
    [text("LookupName"), text("LookupValue"), text("StandardLookupValue"), text("LegacyODataValue")];
