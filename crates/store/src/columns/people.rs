//! The typed columns of `mls.member`, `mls.office` and `mls.team`.

use spark_domain::Resource;

use super::{Column, ColumnList, boolean, fields_of, native, text, timestamp};

pub(crate) const MEMBER: ColumnList = ColumnList {
    columns: &MEMBERS,
    fields: &fields_of(&MEMBERS),
    others: native::of_resource(Resource::Member),
};

pub(crate) const OFFICE: ColumnList = ColumnList {
    columns: &OFFICES,
    fields: &fields_of(&OFFICES),
    others: native::of_resource(Resource::Office),
};

pub(crate) const TEAM: ColumnList =
    ColumnList { columns: &TEAMS, fields: &fields_of(&TEAMS), others: native::of_resource(Resource::Teams) };

const MEMBERS: [Column; 25] = [
    text("MemberMlsId"),
    text("MemberFullName"),
    text("MemberFirstName"),
    text("MemberLastName"),
    text("MemberStatus"),
    text("MemberType"),
    text("JobTitle"),
    text("MemberEmail"),
    text("MemberPreferredPhone"),
    text("MemberDirectPhone"),
    text("MemberMobilePhone"),
    text("MemberOfficePhone"),
    text("MemberAddress1"),
    text("MemberCity"),
    text("MemberStateOrProvince"),
    text("MemberPostalCode"),
    text("MemberStateLicense"),
    text("MemberNationalAssociationId"),
    text("OfficeKey"),
    text("OfficeMlsId"),
    text("OfficeName"),
    text("OriginatingSystemName"),
    boolean("MlsStatusYN"),
    boolean("Visible"),
    timestamp("OriginalEntryTimestamp"),
];

const OFFICES: [Column; 24] = [
    text("OfficeMlsId"),
    text("OfficeName"),
    text("OfficeStatus"),
    text("OfficeType"),
    text("OfficeBranchType"),
    text("OfficePhone"),
    text("OfficeFax"),
    text("OfficeEmail"),
    text("OfficeAddress1"),
    text("OfficeAddress2"),
    text("OfficeCity"),
    text("OfficeStateOrProvince"),
    text("OfficePostalCode"),
    text("OfficeNationalAssociationId"),
    text("OfficeCorporateLicense"),
    text("OfficeBrokerKey"),
    text("OfficeBrokerMlsId"),
    text("OfficeManagerKey"),
    text("MainOfficeKey"),
    text("MainOfficeMlsId"),
    text("OriginatingSystemName"),
    boolean("IDXOfficeParticipationYN"),
    boolean("Visible"),
    timestamp("OriginalEntryTimestamp"),
];

const TEAMS: [Column; 15] = [
    text("TeamName"),
    text("TeamStatus"),
    text("TeamLeadKey"),
    text("TeamLeadMlsId"),
    text("TeamEmail"),
    text("TeamPreferredPhone"),
    text("TeamDirectPhone"),
    text("TeamMobilePhone"),
    text("TeamAddress1"),
    text("TeamCity"),
    text("TeamStateOrProvince"),
    text("TeamPostalCode"),
    text("TeamStateLicense"),
    text("OriginatingSystemName"),
    timestamp("OriginalEntryTimestamp"),
];
