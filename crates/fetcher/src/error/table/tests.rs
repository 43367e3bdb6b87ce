//! One test a row: the list is written from Spark's documents a second time, by hand.

use super::*;

macro_rules! rows {
    ($($name:ident: $code:expr, $status:expr => $class:ident;)*) => {$(
        #[test]
        fn $name() {
            assert_eq!(classify($code, $status), Class::$class);
        }
    )*};
}

rows! {
    http_404_is_not_found: None, 404 => NotFound;
    http_405_is_a_bug_of_ours: None, 405 => Refused;
    code_1000_refuses_the_token: Some(1000), 401 => Unauthorized;
    code_1005_restricts_the_key: Some(1005), 403 => Restricted;
    code_1005_with_the_older_500_is_not_retried: Some(1005), 500 => Restricted;
    code_1010_is_a_disabled_key: Some(1010), 401 => Unauthorized;
    code_1013_forbids_the_scheme: Some(1013), 403 => Restricted;
    code_1015_is_an_inactive_user: Some(1015), 403 => Restricted;
    code_1016_wants_a_user_agent: Some(1016), 400 => Refused;
    code_1017_is_a_read_only_key: Some(1017), 405 => Refused;
    code_1018_forbids_the_method: Some(1018), 405 => Refused;
    code_1019_binds_the_key_to_an_address: Some(1019), 403 => Restricted;
    code_1020_is_an_expired_token: Some(1020), 401 => Unauthorized;
    code_1021_is_the_wrong_host: Some(1021), 403 => WrongHost;
    code_1022_is_refused: Some(1022), 422 => Refused;
    code_1023_is_not_in_sync: Some(1023), 503 => NotInSync;
    code_1024_is_not_in_sync: Some(1024), 503 => NotInSync;
    code_1025_restricts_the_portal_group: Some(1025), 403 => Restricted;
    code_1026_hides_a_bad_record: Some(1026), 500 => BadRecord;
    code_1030_wants_tls: Some(1030), 403 => Refused;
    code_1035_is_a_body_that_is_not_json: Some(1035), 400 => Refused;
    code_1040_is_a_bad_filter: Some(1040), 400 => BadQuestion;
    code_1041_is_a_filter_too_long: Some(1041), 400 => TooMuch;
    code_1050_misses_a_parameter: Some(1050), 400 => Refused;
    code_1053_is_out_of_range: Some(1053), 400 => Refused;
    code_1055_is_for_writers: Some(1055), 409 => Refused;
    code_1060_is_for_writers: Some(1060), 400 => Refused;
    code_1061_is_for_writers: Some(1061), 400 => Refused;
    code_1100_wants_a_portal_account: Some(1100), 403 => Restricted;
    code_1110_is_for_writers: Some(1110), 400 => Refused;
    code_1500_is_not_offered: Some(1500), 403 => NotOffered;
    code_1505_turns_an_expansion_off: Some(1505), 403 => ExpansionOff;
    code_1510_passes: Some(1510), 503 => Passing;
    code_1515_asks_for_less: Some(1515), 503 => TooMuch;
    code_1516_asks_for_less: Some(1516), 503 => TooMuch;
    code_1550_throttles: Some(1550), 429 => Throttled;
    code_1550_throttles_with_the_older_503_too: Some(1550), 503 => Throttled;
    code_2000_is_a_bad_value: Some(2000), 400 => BadQuestion;
    code_2005_is_not_in_sync: Some(2005), 503 => NotInSync;
    code_2500_is_for_subscribers: Some(2500), 400 => Refused;
    code_2505_is_for_writers: Some(2505), 400 => Refused;
    code_2999_is_a_bad_value: Some(2999), 400 => BadQuestion;
    code_3000_is_the_wrong_path: Some(3000), 400 => Refused;
    http_500_passes: None, 500 => Passing;
    http_502_passes: None, 502 => Passing;
    http_503_without_a_code_passes: None, 503 => Passing;
    http_504_passes: None, 504 => Passing;
    http_413_asks_for_less: None, 413 => TooMuch;
    http_414_asks_for_less: None, 414 => TooMuch;
    http_431_asks_for_less: None, 431 => TooMuch;
    http_429_without_a_code_throttles: None, 429 => Throttled;
    http_301_is_a_redirect: None, 301 => Redirected;
    http_401_without_a_code_refuses_the_token: None, 401 => Unauthorized;
    http_403_without_a_code_restricts: None, 403 => Restricted;
    http_400_without_a_code_is_a_bad_question: None, 400 => BadQuestion;
    http_410_is_not_found: None, 410 => NotFound;
    an_unknown_code_leaves_the_word_to_the_status: Some(7777), 503 => Passing;
}

#[test]
fn every_row_of_the_table_can_be_reached() {
    for row in CODES {
        assert!(row.first <= row.last);
        assert_eq!(
            find(row.first).map(|found| found.meaning),
            Some(row.meaning),
            "row {} is hidden",
            row.first
        );
    }
}
