//! The typed columns of `mls.media`, `mls.room` and `mls.unit`.

use spark_domain::Relation;

use super::{Column, ColumnList, boolean, fields_of, integer, native, numeric, text};

pub(crate) const MEDIA: ColumnList = ColumnList {
    columns: &MEDIAS,
    fields: &fields_of(&MEDIAS),
    others: native::of_relation(Relation::Media),
};

pub(crate) const ROOM: ColumnList =
    ColumnList { columns: &ROOMS, fields: &fields_of(&ROOMS), others: native::of_relation(Relation::Room) };

pub(crate) const UNIT: ColumnList =
    ColumnList { columns: &UNITS, fields: &fields_of(&UNITS), others: native::of_relation(Relation::Unit) };

const MEDIAS: [Column; 9] = [
    text("MediaCategory"),
    integer("Order"),
    boolean("PreferredPhotoYN"),
    text("MediaURL"),
    text("MimeType"),
    integer("ImageWidth"),
    integer("ImageHeight"),
    text("ShortDescription"),
    text("LongDescription"),
];

const ROOMS: [Column; 8] = [
    text("RoomType"),
    text("RoomLevel"),
    numeric("RoomLength"),
    numeric("RoomWidth"),
    numeric("RoomArea"),
    text("RoomLengthWidthUnits"),
    text("RoomDimensions"),
    text("RoomDescription"),
];

const UNITS: [Column; 12] = [
    text("UnitTypeType"),
    text("UnitTypeDescription"),
    integer("UnitTypeUnitsTotal"),
    integer("UnitTypeBedsTotal"),
    integer("UnitTypeBathsTotal"),
    integer("UnitTypeBathsFull"),
    integer("UnitTypeBathsHalf"),
    numeric("UnitTypeActualRent"),
    numeric("UnitTypeTotalRent"),
    numeric("UnitTypeProForma"),
    numeric("UnitTypeGarageSpaces"),
    text("UnitTypeFurnished"),
];
