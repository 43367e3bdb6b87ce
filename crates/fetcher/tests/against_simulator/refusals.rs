//! Every row of Spark's error table, over the wire, in both shapes.

use spark_domain::walk::Position;
use spark_domain::{KeyListForm, Query, Recovery, Relation, Resource};
use spark_fetcher::Error;
use spark_simulator::{Fault, Trouble};

use crate::{Feed, keys};

/// The variant's name.
fn name(error: &Error) -> String {
    let debug = format!("{error:?}");
    debug.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// HTTP status, Spark code, the error in the end, and how often it is asked with four attempts allowed.
const ROWS: &[(u16, i64, &str, usize)] = &[
    (404, 404, "NotOffered", 1),
    (405, 405, "Refused", 1),
    (401, 1000, "Unauthorized", 1),
    (403, 1005, "RestrictedKey", 1),
    (500, 1005, "RestrictedKey", 1),
    (401, 1010, "Unauthorized", 1),
    (403, 1013, "RestrictedKey", 1),
    (403, 1015, "RestrictedKey", 1),
    (400, 1016, "Refused", 1),
    (405, 1017, "Refused", 1),
    (405, 1018, "Refused", 1),
    (403, 1019, "RestrictedKey", 1),
    (401, 1020, "Unauthorized", 1),
    (403, 1021, "WrongHost", 1),
    (422, 1022, "Refused", 1),
    (403, 1025, "RestrictedKey", 1),
    (500, 1026, "BadRecord", 2),
    (403, 1030, "Refused", 1),
    (400, 1035, "Refused", 1),
    (400, 1040, "NotOffered", 1),
    (400, 1041, "TooMuch", 1),
    (400, 1050, "Refused", 1),
    (400, 1053, "Refused", 1),
    (409, 1055, "Refused", 1),
    (400, 1060, "Refused", 1),
    (400, 1061, "Refused", 1),
    (403, 1100, "RestrictedKey", 1),
    (400, 1110, "Refused", 1),
    (403, 1500, "NotOffered", 1),
    (403, 1505, "ExpansionOff", 1),
    (503, 1510, "Unavailable", 4),
    (503, 1515, "TooMuch", 1),
    (503, 1516, "TooMuch", 1),
    (429, 1550, "Throttled", 4),
    (503, 1550, "Throttled", 4),
    (400, 2000, "NotOffered", 1),
    (400, 2500, "Refused", 1),
    (400, 2505, "Refused", 1),
    (400, 2999, "NotOffered", 1),
    (400, 3000, "Refused", 1),
    (500, 500, "Unavailable", 4),
    (502, 502, "Unavailable", 4),
    (503, 503, "Unavailable", 4),
    (504, 504, "Unavailable", 4),
    (413, 413, "TooMuch", 1),
    (414, 414, "TooMuch", 1),
    (431, 431, "TooMuch", 1),
    (429, 429, "Throttled", 4),
    (403, 403, "RestrictedKey", 1),
    (401, 401, "Unauthorized", 1),
];

#[tokio::test]
async fn every_row_of_the_error_table_arrives_as_its_error() {
    let feed = Feed::with(40, |settings| {
        settings.retry.throttled_silence = std::time::Duration::from_millis(2);
    })
    .await;
    let query = Query::collection(Resource::Property);
    for (status, code, wanted, asked) in ROWS {
        for trouble in [Trouble::error(*status, *code), Trouble::d(*status, *code)] {
            feed.simulator.journal().clear();
            feed.fail(Fault::new(trouble).forever());
            let error = feed.client.page(&query, &Position::Start, 30).await.unwrap_err();
            feed.simulator.faults().clear();
            let exchange = error.exchange();
            let own = Some(*code).filter(|code| *code >= 1000);
            assert_eq!(name(&error), *wanted, "HTTP {status}, code {code}");
            assert_eq!((exchange.status, exchange.code), (Some(*status), own), "HTTP {status}, code {code}");
            assert_eq!(
                feed.requests().len(),
                *asked,
                "HTTP {status}, code {code}: asked too often or too seldom"
            );
        }
    }
}

#[tokio::test]
async fn a_refused_form_of_a_key_list_does_not_turn_the_resource_off() {
    let feed = Feed::of(10).await;
    for form in [KeyListForm::In, KeyListForm::EqOr, KeyListForm::Single] {
        feed.fail(Fault::new(Trouble::error(400, 400)));
        let error = feed.client.page(&keys(&["1"], form), &Position::Start, 1).await.unwrap_err();
        assert!(matches!(error, Error::KeyListRefused(_)), "{form:?}: {error:?}");
        assert_eq!(error.recovery(), Recovery::GiveUp);
    }
}

#[tokio::test]
async fn an_expansion_that_is_off_is_told_from_a_resource_that_is() {
    let feed = Feed::of(10).await;
    let query = Query { expand: vec![Relation::Media], ..Query::collection(Resource::Office) };
    feed.fail(Fault::new(Trouble::d(403, 1505)));
    let error = feed.client.page(&query, &Position::Start, 1).await.unwrap_err();
    assert!(matches!(&error, Error::ExpansionOff(exchange) if exchange.endpoint == "Office"), "{error:?}");
}

#[tokio::test]
async fn an_error_under_a_status_of_success_is_still_an_error() {
    let feed = Feed::of(10).await;
    let body = r#"{"D":{"Success":false,"Code":1500,"Message":"no"}}"#.to_owned();
    feed.fail(Fault::new(Trouble::Answer { status: 200, content_type: "application/json", body }));
    let error = feed.client.refusal().await;
    assert!(matches!(&error, Error::NotOffered(exchange) if exchange.code == Some(1500)), "{error:?}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_not_sent() {
    let feed = Feed::of(10).await;
    for query in [keys(&[], KeyListForm::In), keys(&["1", "2"], KeyListForm::Single)] {
        let error = feed.client.page(&query, &Position::Start, 1).await.unwrap_err();
        assert!(matches!(error, Error::Misasked { .. }), "{error:?}");
    }
    assert!(feed.requests().is_empty());
}
