//! A recording, written here by hand, that is served again.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use spark_simulator::{Recording, Replay};

const ORIGIN: &str = "https://feed.example";

/// An exchange; `answer` is a status and a body.
fn line(api: &str, path: &str, answer: Option<(u16, Option<&str>)>) -> String {
    let base = if api == "spark" { "/v1" } else { "/reso" };
    let exchange = json!({
        "feed": "beaches", "api": api, "base_url": format!("{ORIGIN}{base}"), "url": format!("{ORIGIN}{base}/{path}"),
        "status": answer.map(|(status, _)| status), "headers": {"date": "Sun, 01 Mar 2026 12:00:00 GMT"},
        "body": answer.and_then(|(_, body)| body), "failure": answer.is_none().then_some("broken"),
    });
    format!("{exchange}\n")
}

/// A replay, and the questions that it had no answer for.
struct Stage {
    replay: Replay,
    client: reqwest::Client,
    unrecorded: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    async fn of(lines: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("beaches.jsonl");
        std::fs::write(&file, lines.concat()).unwrap();
        Self::at(folder.path()).await
    }

    async fn at(path: &Path) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let unrecorded = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&unrecorded);
        let note = move |question: &str| book.lock().unwrap().push(question.to_owned());
        let recording = Recording::read(path).unwrap();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let replay = Replay::start(anywhere, recording, note).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { replay, client, unrecorded }
    }

    async fn ask(&self, path: &str) -> Result<(u16, Value), reqwest::Error> {
        let url = format!("{}/{}", self.replay.base_url(), path.replace(' ', "%20"));
        let answer = self.client.get(url).send().await?;
        let status = answer.status().as_u16();
        Ok((status, serde_json::from_slice(&answer.bytes().await?).unwrap_or_default()))
    }
}

#[tokio::test]
async fn a_question_is_answered_as_it_was_and_at_the_end_as_it_last_was_well() {
    let link = format!(
        r#"{{"value":[],"@odata.nextLink":"{ORIGIN}/reso/Property?page=2","x":"https:\/\/feed.example\/a"}}"#
    );
    let stage = Stage::of(&[
        line("reso", "Property?a=1", Some((503, Some("{}")))),
        line("reso", "Property?a=1", None),
        line("reso", "Property?a=1", Some((200, None))),
        "{\"feed\":\"bea\n".to_owned(),
        line("reso", "Property?a=1", Some((200, Some(&link)))),
        line("reso", "Property?a=1", Some((429, Some("{}")))),
    ])
    .await;
    let extent = stage.replay.extent();
    assert_eq!((extent.exchanges, extent.broken_lines), (5, 1));
    assert_eq!(stage.ask("Property?a=1").await.unwrap().0, 503);
    assert!(stage.ask("Property?a=1").await.unwrap_err().is_request(), "no answer at all");
    let cut = stage.ask("Property?a=1").await.unwrap_err();
    assert!(cut.is_body() || cut.is_decode(), "an answer that does not end: {cut:?}");
    let (_, page) = stage.ask("Property?a=1").await.unwrap();
    let here = stage.replay.base_url();
    assert_eq!(page["@odata.nextLink"], format!("{here}/Property?page=2"));
    assert_eq!(page["x"], here.replace("/reso", "/a"), "an escaped address as well");
    assert_eq!(stage.ask("Property?a=1").await.unwrap().0, 429);
    for _ in 0..2 {
        assert_eq!(stage.ask("Property?a=1").await.unwrap(), (200, page.clone()), "it stands still");
    }
    let date =
        stage.client.get(format!("{here}/Property?a=1")).send().await.unwrap().headers()["date"].clone();
    assert!(!date.to_str().unwrap().contains("01 Mar 2026"), "{date:?}");
}

#[tokio::test]
async fn what_was_never_asked_proves_nothing_and_is_told_once() {
    let stage = Stage::of(&[line("reso", "Property?$top=9", Some((200, Some("{}"))))]).await;
    for _ in 0..2 {
        assert_eq!(stage.ask("Property?$top=9&$expand=Media").await.unwrap().0, 503);
    }
    assert_eq!(*stage.unrecorded.lock().unwrap(), ["/Version/3/Reso/OData/Property?$expand=Media&$top=9"]);
    assert_eq!(stage.replay.journal().of("Property").len(), 0, "its path is its own");
}

#[tokio::test]
async fn records_asked_for_by_key_are_put_together_as_they_were_shown_next() {
    let a = |version: u8| json!({"ListingKey": "a", "Version": version});
    let page = |records: &[Value]| json!({ "value": records }).to_string();
    let stage = Stage::of(&[
        line("reso", "Property?$filter=ListingKey%20in%20('a','b')", Some((200, Some(&page(&[a(1)]))))),
        line("reso", "Property('a')", Some((200, Some(&a(2).to_string())))),
        line("reso", "Property('b')", Some((404, Some("{}")))),
        line("reso", "Property?$filter=ListingKey%20in%20('c')", Some((500, Some("{}")))),
    ])
    .await;
    let versions = async |path: &str| stage.ask(path).await.unwrap().1["value"].clone();
    let either = "Property?$filter=ListingKey eq 'b' or ListingKey eq 'a'";
    assert_eq!(versions(either).await, json!([a(1)]), "b was not there");
    assert_eq!(versions("Property?$top=1&$filter=ListingKey in ('a')").await, json!([a(2)]));
    assert_eq!(versions("Property?$top=1&$filter=ListingKey in ('a')").await, json!([a(2)]), "its last");
    assert_eq!(stage.ask("Property('b')").await.unwrap().0, 404);
    assert_eq!(
        stage.ask("Property?$filter=ListingKey in ('a','d')").await.unwrap().0,
        503,
        "nobody asked for d"
    );
    assert_eq!(stage.ask("Property?$filter=ListingKey in ('a')&$expand=Media").await.unwrap().0, 503);
    assert_eq!(stage.ask("Property?$filter=ListingKey in ('c')").await.unwrap().0, 500);
    assert_eq!(stage.ask("Property('c')").await.unwrap().0, 503, "a failure shows no record");
}

#[tokio::test]
async fn a_records_relations_are_put_together_from_wherever_they_were_shown() {
    let by_key = |more: &str, record: &Value| {
        let path = format!("Property?$filter=ListingKey%20in%20('a')&$select=ListingKey,Stamp{more}");
        line("reso", &path, Some((200, Some(&json!({ "value": [record] }).to_string()))))
    };
    let list = json!({"value": [
        {"ListingKey": "a", "Stamp": 0, "Remarks": "", "Room": [1], "Room@odata.count": 1},
        {"ListingKey": "b", "Stamp": 0, "Remarks": "", "Room": []},
    ]});
    let stage = Stage::of(&[
        line("reso", "Property?$expand=Room&$top=9", Some((200, Some(&list.to_string())))),
        by_key("&$expand=Media,Unit", &json!({"ListingKey": "a", "Stamp": 1, "Media": [2], "Unit": [3]})),
        by_key("&$expand=Media", &json!({"ListingKey": "a", "Stamp": 4, "Media": [5]})),
    ])
    .await;
    let ask = async |more: &str| stage.ask(&format!("Property?$filter=ListingKey eq {more}")).await.unwrap();
    let record = async |more: &str| {
        ask(&format!("'a'&$select=Stamp,ListingKey&$expand={more}")).await.1["value"].clone()
    };
    let first = json!([{"ListingKey": "a", "Stamp": 1, "Media": [2]}]);
    assert_eq!(record("Media").await, first, "and no units, which are not asked for");
    assert_eq!(record("Media").await, json!([{"ListingKey": "a", "Stamp": 4, "Media": [5]}]), "its next");
    let older = json!([{"ListingKey": "a", "Stamp": 1, "Unit": [3]}]);
    assert_eq!(record("Unit").await, older, "nobody saw these units under the newer stamp");
    let listed = &record("Room,Media").await[0];
    assert_eq!(
        [&listed["Stamp"], &listed["Room"], &listed["Room@odata.count"]],
        [&json!(0), &json!([1]), &json!(1)]
    );
    assert_eq!(listed["Media"], json!([2]), "the first that it had from then on");
    assert_eq!(ask("'a'&$select=ListingKey&$expand=OpenHouse").await.0, 503, "nobody saw its open houses");
    assert_eq!(
        ask("'a'&$select=ListingKey,City").await.1["value"][0]["Remarks"],
        "",
        "a list shows all fields"
    );
    assert_eq!(ask("'b'").await.1["value"][0]["ListingKey"], "b", "so it does of the others");
    assert_eq!(ask("'b'&$select=ListingKey&$expand=Media").await.0, 503);
}

#[tokio::test]
async fn native_relations_are_put_together_where_they_stand() {
    let of = |expand: &str, fields: Value, custom: Value| {
        let record = json!({"Id": "1", "StandardFields": fields, "CustomFields": custom});
        let body = json!({"D": {"Success": true, "Results": [record]}}).to_string();
        line("spark", &format!("listings/1?_expand={expand}"), Some((200, Some(&body))))
    };
    let stage = Stage::of(&[
        of("Photos,CustomFields", json!({"City": "A", "Photos": [1]}), json!([2])),
        of("Rooms,Units,CustomFields", json!({"City": "B", "Rooms": [3], "Units": [4]}), json!([5])),
    ])
    .await;
    let (status, shown) = stage.ask("listings?_filter=ListingKey Eq '1'&_expand=Photos,Units").await.unwrap();
    assert_eq!(status, 200);
    let standard = json!({"City": "A", "Photos": [1], "Units": [4]});
    assert_eq!(shown["D"]["Results"], json!([{"Id": "1", "StandardFields": standard}]));

    let stage =
        Stage::of(&[of("Photos", Value::Null, json!([])), of("Units", json!({"Units": [4]}), json!([]))])
            .await;
    let (_, shown) = stage.ask("listings/1?_expand=Photos,Units").await.unwrap();
    assert_eq!(shown["D"]["Results"][0]["StandardFields"], json!({"Units": [4]}), "an odd record is no end");
}

#[tokio::test]
async fn a_record_is_gone_for_every_question_once_it_is_and_for_none_before() {
    let of = |question: &str, keys: &[&str]| {
        let records: Vec<Value> = keys.iter().map(|key| json!({"ListingKey": key})).collect();
        let body = json!({ "value": records }).to_string();
        line("reso", &format!("Property?$select=ListingKey&{question}"), Some((200, Some(&body))))
    };
    let stage = Stage::of(&[
        of("$filter=ListingKey%20in%20('a','b')", &["a", "b"]),
        of("$filter=ListingKey%20in%20('a')", &[]),
        of("$filter=ListingKey%20in%20('b','c')&$skiptoken=b", &["c"]),
        of("$filter=ListingKey%20in%20('d')", &["e", "f"]),
    ])
    .await;
    let ask = async |key: &str, select: &str| {
        let (status, shown) =
            stage.ask(&format!("Property?$filter=ListingKey eq '{key}'{select}")).await.unwrap();
        (status, shown["value"].as_array().map(Vec::len))
    };
    let select = "&$select=ListingKey";
    assert_eq!(ask("a", "").await, (503, None), "nobody saw all of it, and it is not gone yet");
    assert_eq!(ask("a", select).await, (200, Some(1)));
    assert_eq!(ask("a", select).await, (200, Some(0)));
    assert_eq!(ask("a", "").await, (200, Some(0)));
    for _ in 0..2 {
        assert_eq!(ask("b", select).await, (200, Some(1)), "a later page does not repeat it");
    }
    assert_eq!(ask("d", select).await, (503, None), "the filter was ignored");
}

#[tokio::test]
async fn nothing_but_a_whole_list_or_a_servers_own_404_shows_that_a_record_is_gone() {
    let page = |more: &str| format!(r#"{{"value":[{{"ListingKey":"a"}}]{more}}}"#);
    let of = |filter: &str, status: u16, body: &str| {
        line("reso", &format!("Property?$filter=ListingKey%20in%20({filter})"), Some((status, Some(body))))
    };
    let stage = Stage::of(&[
        of("'a','linked'", 200, &page(r#","@odata.nextLink":"https://feed.example/reso/Property?page=2""#)),
        of("'a','refused'", 200, r#"{"error":{"code":1,"message":"no"}}"#),
        line("reso", "Property('proxied')", Some((404, Some("<html>No such page</html>")))),
        of("'a','gone'", 200, &page("")),
    ])
    .await;
    for unknown in ["linked", "refused", "proxied"] {
        let (status, _) = stage.ask(&format!("Property?$filter=ListingKey eq '{unknown}'")).await.unwrap();
        assert_eq!(status, 503, "nothing is known of {unknown}");
    }
    let (status, shown) = stage.ask("Property?$filter=ListingKey eq 'gone'").await.unwrap();
    assert_eq!((status, shown), (200, json!({"value": []})));
}

#[tokio::test]
async fn pages_of_another_size_are_the_recorded_ones_and_what_was_too_much_is_refused_as_such() {
    let body = |record: &str| json!({"value": [{"ListingKey": record}]}).to_string();
    let timed_out = line("reso", "Property?$top=900&$skiptoken=b", None).replace("broken", "timeout");
    let stage = Stage::of(&[
        line("reso", "Property?$top=9", Some((200, Some(&body("a"))))),
        line("reso", "Property?$top=1", Some((200, Some(&body("counted"))))),
        timed_out,
        line("reso", "Property?$top=400&$skiptoken=b", Some((200, Some(&body("b"))))),
    ])
    .await;
    let key = async |path: &str| stage.ask(path).await.unwrap().1["value"][0]["ListingKey"].clone();
    assert_eq!(key("Property?$top=1").await, "counted", "a question that is known goes first");
    let (status, refusal) = stage.ask("Property?$top=900&$skiptoken=b").await.unwrap();
    assert_eq!((status, &refusal["error"]["code"]), (503, &json!(1515)));
    assert_eq!(key("Property?$top=7").await, "a");
    assert_eq!(stage.ask("Property?$top=450&$skiptoken=b").await.unwrap().0, 503, "as it was");
    assert_eq!(key("Property?$top=450&$skiptoken=b").await, "b");
}

#[tokio::test]
async fn a_recording_of_two_addresses_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("beaches.jsonl");
    let lines = line("reso", "Property", None) + &line("spark", "listings", None);
    std::fs::write(&file, lines).unwrap();
    let message = Recording::read(&file).unwrap_err().to_string();
    assert!(message.contains("more than one base_url"), "{message}");
}

#[tokio::test]
async fn a_native_record_comes_back_in_its_envelope() {
    let body = json!({"D": {"Success": true, "Results": [{"Id": "1", "StandardFields": {}}]}}).to_string();
    let stage =
        Stage::of(&[line("spark", "listings?_filter=ListingKey%20Eq%20'1','2'", Some((200, Some(&body))))])
            .await;
    assert_eq!(stage.replay.dialect(), spark_simulator::Dialect::Spark);
    let (status, shown) = stage.ask("listings/1").await.unwrap();
    assert_eq!((status, &shown["D"]["Results"][0]["Id"]), (200, &json!("1")));
    assert_eq!(stage.ask("listings/2").await.unwrap().0, 404);
}
