//! The words of the market: standard field names, lookup values, places and phrases.

use super::record::pick;

/// Standard fields besides those with a meaning of their own; RESO Data Dictionary 2.0.
pub(super) const TEXTS: &str = "ListAgentEmail ListAgentDirectPhone ListAgentFirstName ListAgentLastName \
    ListOfficePhone ListOfficeEmail CoListAgentFullName CoListAgentMlsId CoListOfficeName CoListOfficeMlsId \
    BuyerAgentFullName BuyerAgentMlsId BuyerAgentEmail BuyerOfficeName BuyerOfficeMlsId CoBuyerAgentFullName \
    CoBuyerAgentMlsId CoBuyerOfficeName ParcelNumber TaxLegalDescription TaxBlock TaxLot TaxMapNumber Township \
    SubdivisionName MLSAreaMinor Directions CrossStreet PrivateRemarks PrivateOfficeRemarks ShowingInstructions \
    ShowingContactName ShowingContactPhone LockBoxLocation LockBoxSerialNumber OwnerName OwnerPhone OccupantName \
    OccupantPhone AssociationName AssociationPhone AssociationName2 Contingency Exclusions Inclusions \
    ElementarySchool MiddleOrJuniorSchool HighSchool ElementarySchoolDistrict HighSchoolDistrict BuilderName \
    BuilderModel ParkName BusinessName Zoning ZoningDescription Disclaimer CopyrightNotice UnitNumberSuffix \
    PostalCodePlus4 StreetNumberNumeric ListingURL SignOnPropertyDescription WaterBodyName FoundationArea \
    OwnershipType EntryLocation RentControlNote DOH1 License1 SerialU Make Model LotDimensionsSource LotSizeDimensions";
pub(super) const INTEGERS: &str = "BathroomsThreeQuarter BathroomsPartial MainLevelBedrooms MainLevelBathrooms \
    RoomsTotal StoriesTotal Stories GarageSpacesInteger CarportSpacesInteger OpenParkingSpacesInteger \
    NumberOfUnitsTotal NumberOfBuildings NumberOfUnitsLeased NumberOfPads NumberOfLots FireplacesTotal \
    CumulativeDaysOnMarket YearBuiltEffective YearEstablished TaxYear SeatingCapacity NumberOfFullTimeEmployees \
    DaysInMls WalkScore LivingAreaRangeLow LivingAreaRangeHigh UnitsFurnished";
pub(super) const DECIMALS: &str = "GarageSpaces CarportSpaces CoveredSpaces ParkingTotal OpenParkingSpaces \
    BuildingAreaTotal AboveGradeFinishedArea BelowGradeFinishedArea LotSizeAcres LotSizeSquareFeet TaxAnnualAmount \
    TaxAssessedValue AssociationFee AssociationFee2 PreviousListPrice ListPriceLow GrossIncome GrossScheduledIncome \
    NetOperatingIncome OperatingExpense InsuranceExpense ElectricExpense WaterSewerExpense TrashExpense \
    ManagerExpense CapRate Elevation FrontageLength LandLeaseAmount ConcessionsAmount LeaseAmount \
    TotalActualRent CultivatedArea PastureArea WoodedArea";
pub(super) const FLAGS: &str = "AssociationYN AttachedGarageYN GarageYN CarportYN CoolingYN HeatingYN FireplaceYN \
    PoolPrivateYN SpaYN ViewYN WaterfrontYN WaterViewYN NewConstructionYN PropertyAttachedYN HomeWarrantyYN \
    SeniorCommunityYN LandLeaseYN HorseYN RentControlYN LeaseRenewalOptionYN InternetAutomatedValuationDisplayYN \
    InternetConsumerCommentYN SignOnPropertyYN BasementYN OpenParkingYN AdditionalParcelsYN IDXParticipationYN";
pub(super) const DATES: &str = "ContingentDate ExpirationDate PurchaseContractDate TerminationDate WithdrawnDate \
    CancellationDate AvailabilityDate LandLeaseExpirationDate OffMarketDate HoldDate";
pub(super) const STAMPS: &str = "PendingTimestamp AvailabilityTimestamp ContractStatusChangeTimestamp";
pub(super) const CHOICES: &str = "StructureType_Main ListingAgreement ListingService AssociationFeeFrequency \
    LotSizeSource LivingAreaUnits LivingAreaSource YearBuiltSource BuildingAreaUnits DirectionFaces OccupantType \
    Ownership BuyerFinancingMain MajorChangeType AreaUnits RoadResponsibilityMain FurnishedMain";
pub(super) const MULTI: &str = "InteriorFeatures ExteriorFeatures Appliances Heating Cooling Flooring Basement \
    Roof ConstructionMaterials FoundationDetails FireplaceFeatures PoolFeatures SpaFeatures View \
    WaterfrontFeatures LotFeatures ParkingFeatures PatioAndPorchFeatures Fencing Utilities Sewer WaterSource \
    Electric SecurityFeatures LaundryFeatures WindowFeatures DoorFeatures CommunityFeatures AssociationAmenities \
    ListingTerms Disclosures SpecialListingConditions ArchitecturalStyle PropertyCondition StructureType Levels \
    RoadSurfaceType RoadFrontageType OtherStructures Vegetation CurrentUse PossibleUse Possession PetsAllowed \
    AccessibilityFeatures GreenEnergyEfficient GreenSustainability HorseAmenities TenantPays OwnerPays";

/// Groups of the fields that an MLS adds by itself.
pub(super) const GROUPS: [&str; 8] = [
    "Site_sp_Details",
    "Contract_sp_Terms",
    "Location_cm__sp_Tax_sp__amp__sp_Legal",
    "Showing_sp_Details",
    "Interior_hyphen_Rooms",
    "Waterfront_sp__lparen_Lake_rparen_",
    "Association_sp_Rules",
    "Lot_sp__pound_",
];

pub(crate) const STATUSES: [&str; 20] = [
    "Active",
    "Active",
    "Active",
    "Active",
    "Active",
    "Active",
    "Active",
    "Active",
    "Active",
    "Closed",
    "Closed",
    "Closed",
    "Closed",
    "Closed",
    "Pending",
    "Pending",
    "Pending",
    "Active Under Contract",
    "Coming Soon",
    "Hold",
];

pub(super) const WORDS: [&str; 64] = [
    "Pantry",
    "Vaulted Ceiling(s)",
    "Walk-In Closet(s)",
    "Granite Counters",
    "Kitchen Island",
    "Wet Bar",
    "Skylight(s)",
    "Tile",
    "Wood",
    "Carpet",
    "Stone",
    "Brick",
    "Stucco",
    "Metal",
    "Shingle",
    "Slate",
    "Forced Air",
    "Central Air",
    "Heat Pump",
    "Radiant",
    "Natural Gas",
    "Electric",
    "Solar",
    "Propane",
    "Dishwasher",
    "Dryer",
    "Washer",
    "Range",
    "Refrigerator",
    "Microwave",
    "Disposal",
    "Freezer",
    "Level",
    "Wooded",
    "Sloped",
    "Corner Lot",
    "Cul-De-Sac",
    "Landscaped",
    "Garden",
    "Private",
    "Patio",
    "Deck",
    "Porch",
    "Balcony",
    "Screened",
    "Covered",
    "Enclosed",
    "Wrap Around",
    "Public",
    "Well",
    "Septic Tank",
    "Cistern",
    "Shared",
    "Other",
    "None",
    "See Remarks",
    "Lake",
    "River",
    "Mountain(s)",
    "City",
    "Park/Greenbelt",
    "Trees/Woods",
    "Pond",
    "Meadow",
];

pub(super) const CITIES: [(&str, &str, &str, f64, f64); 8] = [
    ("Fernhollow", "Larch", "58999", 46.81, -96.85),
    ("Northbank", "Larch", "58998", 46.90, -96.79),
    ("St. Brendan", "Alder", "58321", 47.92, -97.03),
    ("Quarry Falls", "Alder", "58322", 47.11, -97.44),
    ("Coteau", "Prairie", "58701", 48.23, -101.29),
    ("Medora Springs", "Prairie", "58645", 46.91, -103.52),
    ("Lake Aspen", "Larch", "58997", 46.77, -96.90),
    ("O'Fallon", "Alder", "58323", 47.50, -97.20),
];

pub(super) const STREETS: [&str; 12] = [
    "Larch",
    "Mill",
    "Quay",
    "Chestnut",
    "3rd",
    "Orchard",
    "Old Ferry",
    "Juniper",
    "Prospect",
    "Harbor",
    "Ash",
    "Sunset",
];
pub(super) const SUFFIXES: [&str; 6] = ["Street", "Avenue", "Bend", "Lane", "Court", "Road"];
pub(super) const FIRST: [&str; 12] =
    ["Ada", "Björn", "Chloë", "Dmitri", "Esther", "Femi", "Grace", "Hiro", "Inés", "Jamal", "Katya", "Liam"];
pub(super) const LAST: [&str; 12] = [
    "Norgaard", "O'Neil", "Petrov", "Quinn", "Rossi", "Sato", "Thibault", "Ueda", "Vance", "Walsh", "Young",
    "Zając",
];
pub(super) const TYPES: [(&str, &str); 6] = [
    ("Residential", "Single Family Residence"),
    ("Residential", "Condominium"),
    ("Residential", "Townhouse"),
    ("Residential Income", "Duplex"),
    ("Land", "Unimproved Land"),
    ("Residential Lease", "Apartment"),
];
pub(super) const SENTENCES: [&str; 10] = [
    "Sunlit corner home a short walk from the lake.",
    "New roof in 2023, furnace serviced every autumn.",
    "The kitchen was rebuilt by the owner, a cabinet maker; \"no two drawers alike\".",
    "Quiet street, big trees, friendly neighbours.",
    "Café, bakery and school around the corner.",
    "Sold as is; buyer to verify all measurements.",
    "Ask for the list of improvements.",
    "Garage for two cars and a boat.",
    "Mature garden with apple trees\nand a shed.",
    "Low taxes & no association fees 🙂.",
];

/// The values of a lookup field; eight of the common words for those without their own.
pub(crate) fn values_of(lookup: &str) -> &'static [&'static str] {
    match lookup {
        "StandardStatus" | "MlsStatus" => &[
            "Active",
            "Active Under Contract",
            "Coming Soon",
            "Pending",
            "Closed",
            "Withdrawn",
            "Hold",
            "Canceled",
        ],
        "PropertyType" => &["Residential", "Residential Income", "Land", "Residential Lease"],
        "PropertySubType" => {
            &["Single Family Residence", "Condominium", "Townhouse", "Duplex", "Unimproved Land", "Apartment"]
        }
        "LotSizeUnits" => &["Acres", "Square Feet"],
        "MemberStatus" | "OfficeStatus" | "TeamStatus" => &["Active", "Inactive"],
        "OpenHouseType" => &["Public", "Broker"],
        _ => {
            let hash = lookup.bytes().fold(7, |hash, byte| pick(hash, u64::from(byte)));
            let start = usize::try_from(hash % 8).unwrap_or(0) * 8;
            &WORDS[start..start + 8]
        }
    }
}
