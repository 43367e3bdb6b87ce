-- The data, as the feeds show it: only living records, one row each.
--
-- `body` is the record as served, without its expansions and `@odata.*`; the columns behind it repeat what people
-- filter by and show, and are NULL where the feed hides the field or served a value of another type. Nothing
-- crosses feeds: every primary key begins with `feed`.
--
-- Add indexes of your own freely, best after the first download. One on a text column refuses rows that exceed
-- a page's third; such a record would go to replicator.quarantine.

create schema if not exists mls;
comment on schema mls is 'The feeds'' data, kept equal to the feeds. Read freely; changes made here do not last.';

create table mls.property (
    feed          text collate "C" not null,
    key           text collate "C" not null,
    modified_at   timestamptz,
    hash          bytea not null check (octet_length(hash) = 16),
    body          jsonb not null,
    first_seen_at timestamptz not null,
    written_at    timestamptz not null,
    listing_id                         text,
    standard_status                    text,
    mls_status                         text,
    property_type                      text,
    property_sub_type                  text,
    originating_system_name            text,
    originating_system_key             text,
    major_change_type                  text,
    new_construction_yn                boolean,
    senior_community_yn                boolean,
    public_remarks                     text,
    list_price                         numeric,
    list_price_low                     numeric,
    original_list_price                numeric,
    previous_list_price                numeric,
    close_price                        numeric,
    association_fee                    numeric,
    association_fee_frequency          text,
    association_yn                     boolean,
    tax_annual_amount                  numeric,
    tax_assessed_value                 numeric,
    tax_year                           bigint,
    bedrooms_total                     bigint,
    bathrooms_total_integer            bigint,
    bathrooms_full                     bigint,
    bathrooms_half                     bigint,
    bathrooms_three_quarter            bigint,
    rooms_total                        bigint,
    living_area                        numeric,
    living_area_units                  text,
    above_grade_finished_area          numeric,
    below_grade_finished_area          numeric,
    building_area_total                numeric,
    lot_size_area                      numeric,
    lot_size_units                     text,
    lot_size_acres                     numeric,
    lot_size_square_feet               numeric,
    lot_size_dimensions                text,
    stories                            bigint,
    year_built                         bigint,
    garage_spaces                      numeric,
    garage_yn                          boolean,
    attached_garage_yn                 boolean,
    parking_total                      numeric,
    fireplaces_total                   bigint,
    fireplace_yn                       boolean,
    pool_private_yn                    boolean,
    spa_yn                             boolean,
    waterfront_yn                      boolean,
    view_yn                            boolean,
    horse_yn                           boolean,
    cooling_yn                         boolean,
    heating_yn                         boolean,
    number_of_units_total              bigint,
    unparsed_address                   text,
    street_number                      text,
    street_dir_prefix                  text,
    street_name                        text,
    street_suffix                      text,
    street_dir_suffix                  text,
    unit_number                        text,
    city                               text,
    state_or_province                  text,
    postal_code                        text,
    postal_code_plus4                  text,
    county_or_parish                   text,
    country                            text,
    subdivision_name                   text,
    mls_area_major                     text,
    mls_area_minor                     text,
    parcel_number                      text,
    elementary_school                  text,
    middle_or_junior_school            text,
    high_school                        text,
    high_school_district               text,
    latitude                           numeric,
    longitude                          numeric,
    list_agent_key                     text,
    list_agent_mls_id                  text,
    list_agent_full_name               text,
    co_list_agent_key                  text,
    list_office_key                    text,
    list_office_mls_id                 text,
    list_office_name                   text,
    co_list_office_key                 text,
    list_team_key                      text,
    buyer_agent_key                    text,
    buyer_agent_mls_id                 text,
    buyer_agent_full_name              text,
    co_buyer_agent_key                 text,
    buyer_office_key                   text,
    buyer_office_mls_id                text,
    buyer_office_name                  text,
    co_buyer_office_key                text,
    buyer_team_key                     text,
    listing_contract_date              date,
    on_market_date                     date,
    off_market_date                    date,
    purchase_contract_date             date,
    close_date                         date,
    expiration_date                    date,
    availability_date                  date,
    days_on_market                     bigint,
    cumulative_days_on_market          bigint,
    original_entry_timestamp           timestamptz,
    status_change_timestamp            timestamptz,
    price_change_timestamp             timestamptz,
    major_change_timestamp             timestamptz,
    on_market_timestamp                timestamptz,
    off_market_timestamp               timestamptz,
    pending_timestamp                  timestamptz,
    photos_change_timestamp            timestamptz,
    videos_change_timestamp            timestamptz,
    documents_change_timestamp         timestamptz,
    floor_plans_change_timestamp       timestamptz,
    photos_count                       bigint,
    videos_count                       bigint,
    documents_count                    bigint,
    virtual_tour_url_unbranded         text,
    virtual_tour_url_branded           text,
    internet_entire_listing_display_yn boolean,
    internet_address_display_yn        boolean,
    primary key (feed, key)
);
comment on table mls.property is 'Listings. A removed one is deleted and leaves a row in replicator.tombstone.';
create index property_by_listing_id on mls.property (listing_id);

create table mls.member (
    feed          text collate "C" not null,
    key           text collate "C" not null,
    modified_at   timestamptz,
    hash          bytea not null check (octet_length(hash) = 16),
    body          jsonb not null,
    first_seen_at timestamptz not null,
    written_at    timestamptz not null,
    member_mls_id                  text,
    member_full_name               text,
    member_first_name              text,
    member_last_name               text,
    member_status                  text,
    member_type                    text,
    job_title                      text,
    member_email                   text,
    member_preferred_phone         text,
    member_direct_phone            text,
    member_mobile_phone            text,
    member_office_phone            text,
    member_address1                text,
    member_city                    text,
    member_state_or_province       text,
    member_postal_code             text,
    member_state_license           text,
    member_national_association_id text,
    office_key                     text,
    office_mls_id                  text,
    office_name                    text,
    originating_system_name        text,
    mls_status_yn                  boolean,
    visible                        boolean,
    original_entry_timestamp       timestamptz,
    primary key (feed, key)
);
comment on table mls.member is 'Agents and other people.';

create table mls.office (
    feed          text collate "C" not null,
    key           text collate "C" not null,
    modified_at   timestamptz,
    hash          bytea not null check (octet_length(hash) = 16),
    body          jsonb not null,
    first_seen_at timestamptz not null,
    written_at    timestamptz not null,
    office_mls_id                  text,
    office_name                    text,
    office_status                  text,
    office_type                    text,
    office_branch_type             text,
    office_phone                   text,
    office_fax                     text,
    office_email                   text,
    office_address1                text,
    office_address2                text,
    office_city                    text,
    office_state_or_province       text,
    office_postal_code             text,
    office_national_association_id text,
    office_corporate_license       text,
    office_broker_key              text,
    office_broker_mls_id           text,
    office_manager_key             text,
    main_office_key                text,
    main_office_mls_id             text,
    originating_system_name        text,
    idx_office_participation_yn    boolean,
    visible                        boolean,
    original_entry_timestamp       timestamptz,
    primary key (feed, key)
);
comment on table mls.office is 'Brokerages.';

create table mls.team (
    feed          text collate "C" not null,
    key           text collate "C" not null,
    modified_at   timestamptz,
    hash          bytea not null check (octet_length(hash) = 16),
    body          jsonb not null,
    first_seen_at timestamptz not null,
    written_at    timestamptz not null,
    team_name                text,
    team_status              text,
    team_lead_key            text,
    team_lead_mls_id         text,
    team_email               text,
    team_preferred_phone     text,
    team_direct_phone        text,
    team_mobile_phone        text,
    team_address1            text,
    team_city                text,
    team_state_or_province   text,
    team_postal_code         text,
    team_state_license       text,
    originating_system_name  text,
    original_entry_timestamp timestamptz,
    primary key (feed, key)
);
comment on table mls.team is 'Teams of agents.';

create table mls.open_house (
    feed          text collate "C" not null,
    key           text collate "C" not null,
    modified_at   timestamptz,
    hash          bytea not null check (octet_length(hash) = 16),
    body          jsonb not null,
    first_seen_at timestamptz not null,
    written_at    timestamptz not null,
    listing_key               text,
    listing_id                text,
    open_house_id             text,
    open_house_type           text,
    open_house_status         text,
    open_house_date           date,
    open_house_start_time     timestamptz,
    open_house_end_time       timestamptz,
    open_house_remarks        text,
    livestream_open_house_url text,
    showing_agent_key         text,
    appointment_required_yn   boolean,
    primary key (feed, key)
);
comment on table mls.open_house is 'Open houses of resource OpenHouse. An ended one leaves the feed by itself.';
create index open_house_by_listing on mls.open_house (feed, listing_key);

create table mls.lookup (
    feed          text collate "C" not null,
    key           text collate "C" not null,
    modified_at   timestamptz,
    hash          bytea not null check (octet_length(hash) = 16),
    body          jsonb not null,
    first_seen_at timestamptz not null,
    written_at    timestamptz not null,
    lookup_name           text,
    lookup_value          text,
    standard_lookup_value text,
    legacy_o_data_value   text,
    primary key (feed, key)
);
comment on table mls.lookup is 'The values that lookup fields may have.';

create table mls.media (
    feed            text collate "C" not null,
    parent_resource text collate "C" not null,
    parent_key      text collate "C" not null,
    key             text collate "C" not null,
    modified_at     timestamptz,
    hash            bytea not null check (octet_length(hash) = 16),
    body            jsonb not null,
    first_seen_at   timestamptz not null,
    written_at      timestamptz not null,
    media_category     text,
    "order"            bigint,
    preferred_photo_yn boolean,
    media_url          text,
    mime_type          text,
    image_width        bigint,
    image_height       bigint,
    short_description  text,
    long_description   text,
    primary key (feed, parent_resource, parent_key, key)
);
comment on table mls.media is 'Photos, videos, documents, floor plans and tours of listings, people and offices.';

create table mls.room (
    feed            text collate "C" not null,
    parent_resource text collate "C" not null,
    parent_key      text collate "C" not null,
    key             text collate "C" not null,
    modified_at     timestamptz,
    hash            bytea not null check (octet_length(hash) = 16),
    body            jsonb not null,
    first_seen_at   timestamptz not null,
    written_at      timestamptz not null,
    room_type               text,
    room_level              text,
    room_length             numeric,
    room_width              numeric,
    room_area               numeric,
    room_length_width_units text,
    room_dimensions         text,
    room_description        text,
    primary key (feed, parent_resource, parent_key, key)
);
comment on table mls.room is 'Rooms of listings.';

create table mls.unit (
    feed            text collate "C" not null,
    parent_resource text collate "C" not null,
    parent_key      text collate "C" not null,
    key             text collate "C" not null,
    modified_at     timestamptz,
    hash            bytea not null check (octet_length(hash) = 16),
    body            jsonb not null,
    first_seen_at   timestamptz not null,
    written_at      timestamptz not null,
    unit_type_type          text,
    unit_type_description   text,
    unit_type_units_total   bigint,
    unit_type_beds_total    bigint,
    unit_type_baths_total   bigint,
    unit_type_baths_full    bigint,
    unit_type_baths_half    bigint,
    unit_type_actual_rent   numeric,
    unit_type_total_rent    numeric,
    unit_type_pro_forma     numeric,
    unit_type_garage_spaces numeric,
    unit_type_furnished     text,
    primary key (feed, parent_resource, parent_key, key)
);
comment on table mls.unit is 'Units of listings.';

create table mls.relation (
    feed            text collate "C" not null,
    parent_resource text collate "C" not null,
    parent_key      text collate "C" not null,
    relation        text collate "C" not null,
    key             text collate "C" not null,
    modified_at     timestamptz,
    hash            bytea not null check (octet_length(hash) = 16),
    body            jsonb not null,
    first_seen_at   timestamptz not null,
    written_at      timestamptz not null,
    primary key (feed, parent_resource, parent_key, relation, key)
);
comment on table mls.relation is 'Every other navigation property, one row a member; column relation names it.';

do $$
declare
    holder text;
begin
    foreach holder in array array['property', 'member', 'office', 'team', 'open_house', 'lookup',
                                  'media', 'room', 'unit', 'relation']
    loop
        execute format('alter table mls.%I alter column body set compression lz4', holder);
    end loop;
exception when feature_not_supported then
    raise notice 'this server lacks lz4: mls.*.body is compressed by pglz, at 2 to 4 times the CPU';
end
$$;
comment on column mls.property.hash is '128 bits over the canonical content; equal content is never written twice.';
comment on column mls.property.modified_at is 'ModificationTimestamp, if served.';
comment on column mls.property.written_at is 'When the content last changed here.';
comment on column mls.member.hash is '128 bits over the canonical content; equal content is never written twice.';
comment on column mls.member.modified_at is 'ModificationTimestamp, if served.';
comment on column mls.member.written_at is 'When the content last changed here.';
comment on column mls.office.hash is '128 bits over the canonical content; equal content is never written twice.';
comment on column mls.office.modified_at is 'ModificationTimestamp, if served.';
comment on column mls.office.written_at is 'When the content last changed here.';
comment on column mls.team.hash is '128 bits over the canonical content; equal content is never written twice.';
comment on column mls.team.modified_at is 'ModificationTimestamp, if served.';
comment on column mls.team.written_at is 'When the content last changed here.';
comment on column mls.open_house.hash is '128 bits over the canonical content; equal content is never written twice.';
comment on column mls.open_house.modified_at is 'ModificationTimestamp, if served.';
comment on column mls.open_house.written_at is 'When the content last changed here.';
comment on column mls.lookup.hash is '128 bits over the canonical content; equal content is never written twice.';
comment on column mls.lookup.modified_at is 'ModificationTimestamp, if served.';
comment on column mls.lookup.written_at is 'When the content last changed here.';
comment on column mls.media.hash is '128 bits over the canonical content; equal content is never written twice.';
comment on column mls.media.modified_at is 'ModificationTimestamp, if served.';
comment on column mls.media.written_at is 'When the content last changed here.';
comment on column mls.room.hash is '128 bits over the canonical content; equal content is never written twice.';
comment on column mls.room.modified_at is 'ModificationTimestamp, if served.';
comment on column mls.room.written_at is 'When the content last changed here.';
comment on column mls.unit.hash is '128 bits over the canonical content; equal content is never written twice.';
comment on column mls.unit.modified_at is 'ModificationTimestamp, if served.';
comment on column mls.unit.written_at is 'When the content last changed here.';
comment on column mls.relation.hash is '128 bits over the canonical content; equal content is never written twice.';
comment on column mls.relation.modified_at is 'ModificationTimestamp, if served.';
comment on column mls.relation.written_at is 'When the content last changed here.';
