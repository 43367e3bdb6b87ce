//! Real answers, as the simulator serves them, with a few bytes changed.

use std::io::Write;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use spark_simulator::{Settings, Simulator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Alone, target};

/// The bodies of some answers.
struct Answers {
    list: Vec<u8>,
    record: Vec<u8>,
    packed: Vec<u8>,
    refusal: Vec<u8>,
    metadata: Vec<u8>,
}

fn answers() -> &'static Answers {
    static ANSWERS: OnceLock<Answers> = OnceLock::new();
    ANSWERS.get_or_init(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let simulator = Simulator::start(Settings { listings: 4, ..Settings::default() }).await.unwrap();
            let list = body(&simulator, "Property?$top=2&$expand=Media,Room&$count=true").await;
            let page: serde_json::Value = serde_json::from_slice(&list).unwrap();
            let mut packer = GzEncoder::new(vec![7], Compression::default());
            packer.write_all(&list).unwrap();
            Answers {
                record: page["value"][0].to_string().into_bytes(),
                list,
                packed: packer.finish().unwrap(),
                refusal: body(&simulator, "Property?$filter=nonsense").await,
                metadata: body(&simulator, "$metadata").await,
            }
        })
    })
}

async fn body(simulator: &Simulator, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(simulator.address()).await.unwrap();
    let url = format!("{}/{path}", simulator.base_url());
    let (_, path) = url.split_once("://").unwrap().1.split_once('/').unwrap();
    let token = simulator.token();
    let request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: tests/1\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n",
        simulator.address()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    answer.split_off(end + 4)
}

/// One way to spoil bytes.
#[derive(Debug, Clone)]
enum Spoil {
    Byte(Index, u8),
    Put(Index, &'static [u8]),
    Cut(Index, Index),
    Twice(Index, Index),
    End(Index),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let token = select(vec![
        &b"\\u0000"[..],
        b"\\ud800",
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"null",
        b"\xff",
        b"\0",
        b"@odata.nextLink",
        b"1e999999999999999999",
        b"\xef\xbb\xbf",
        b"<",
        b"&#0;",
        b"</",
        b"-",
        b"\x1f\x8b\x08",
    ]);
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Spoil::Byte(at, byte)),
        (any::<Index>(), token).prop_map(|(at, token)| Spoil::Put(at, token)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, length)| Spoil::Cut(from, length)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, length)| Spoil::Twice(from, length)),
        any::<Index>().prop_map(Spoil::End),
    ]
}

fn spoilt(bytes: &[u8], spoils: &[Spoil]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for spoil in spoils {
        let places = bytes.len() + 1;
        let range = |from: &Index, length: &Index| {
            let from = from.index(places);
            from..(from + length.index(200)).min(places - 1)
        };
        match spoil {
            Spoil::Byte(at, byte) => {
                let at = at.index(places);
                bytes.splice(at..(at + 1).min(places - 1), [*byte]);
            }
            Spoil::Put(at, token) => {
                let at = at.index(places);
                bytes.splice(at..at, token.iter().copied());
            }
            Spoil::Cut(from, length) => drop(bytes.drain(range(from, length))),
            Spoil::Twice(from, length) => {
                let range = range(from, length);
                let again = bytes[range.clone()].to_vec();
                bytes.splice(range.end..range.end, again);
            }
            Spoil::End(at) => bytes.truncate(at.index(places)),
        }
    }
    bytes
}

#[test]
fn what_must_hold_holds_for_real_answers_and_for_spoilt_ones() {
    let alone = Alone::wait();
    let Answers { list, record, packed, refusal, metadata } = answers();
    let all =
        [("page", list), ("record", record), ("gzip", packed), ("refusal", refusal), ("metadata", metadata)];
    proptest!(ProptestConfig::with_cases(64), |(spoils in vec(spoil(), 0..4))| {
        for (name, bytes) in all {
            alone.holds(target(name), &spoilt(bytes, &spoils));
        }
    });
}

#[test]
fn a_real_page_is_read_whole_and_each_of_its_records_is_one() {
    let _alone = Alone::wait();
    let page = spark_fetcher::bytes::page(answers().list.clone(), false).unwrap();
    assert_eq!((page.len(), page.head.count), (2, Some(4)));
    let shape =
        spark_domain::Shape::new(spark_domain::Resource::Property, &[], std::collections::BTreeSet::new());
    for text in page.records() {
        let record = spark_domain::record::read(text, &shape).unwrap();
        assert!(record.modified_at.is_some() && record.relations.len() == 2, "{text}");
    }
    assert!(spark_fetcher::bytes::refusal(&answers().refusal).is_some());
    assert!(!spark_fetcher::bytes::metadata(answers().metadata.clone()).unwrap().entity_types.is_empty());
}
