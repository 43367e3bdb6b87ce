//! Shapes that take a careless reader hours, or all of the memory: a million of something, or a deep one.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::{Alone, target};

const MANY: usize = 200_000;

fn around(open: &str, inner: &str, close: &str) -> String {
    format!("{open}{inner}{close}")
}

fn listing(member: &str) -> String {
    around("{\"ListingKey\":\"1\",", member, "}")
}

#[test]
fn a_record_of_very_many_or_very_deep_parts_is_read_in_time() {
    let alone = Alone::wait();
    let ordinals = around("\"Media\":[", &vec!["{}"; MANY].join(","), "]");
    let keyed: Vec<String> = (0..MANY / 4).map(|n| format!("{{\"MediaKey\":\"{n}\"}}")).collect();
    let repeated: Vec<String> = vec!["\"Media\":[{},{}]".to_owned(); MANY / 8];
    let names: Vec<String> = (0..MANY / 4).map(|n| format!("\"f{n}\":{n}")).collect();
    for members in [
        ordinals,
        around("\"Media\":[", &keyed.join(","), "]"),
        repeated.join(","),
        names.join(","),
        vec!["\"City\":1"; MANY].join(","),
        around("\"Pool\":[", &vec!["1"; MANY].join(","), "]"),
        around("\"Deep\":", &around(&"[".repeat(MANY), "1", &"]".repeat(MANY)), ""),
        around("\"Deep\":", &around(&"{\"a\":".repeat(60), "[1]", &"}".repeat(60)), ""),
        around("\"Long\":", &"9".repeat(MANY), ""),
        around("\"Long\":", &"9".repeat(MANY), "e99999999999999999999"),
        around("\"Text\":\"", &"\\u0041".repeat(MANY), "\""),
        around("\"Text\":\"", &"\\".repeat(MANY), "\""),
    ] {
        alone.holds(target("record"), listing(&members).as_bytes());
    }
}

#[test]
fn a_page_of_very_many_or_very_deep_parts_is_read_in_time() {
    let alone = Alone::wait();
    for body in [
        around("{\"value\":[", &vec!["1"; MANY].join(","), "]}"),
        around("{\"value\":", &"[".repeat(MANY), ""),
        "{\"a\":".repeat(MANY),
        around("{\"", &"\\u0000".repeat(MANY), "\":}"),
        around("{\"value\":[],\"", &"n".repeat(MANY), "\":?}"),
        "\\".repeat(MANY),
        "\\u".repeat(MANY),
    ] {
        alone.holds(target("page"), body.as_bytes());
    }
    alone.holds(target("page"), &[b"{\"a\":\"".to_vec(), vec![0xff; MANY]].concat());
    for body in ["[".repeat(60_000), around("{\"error\":[", &vec!["1"; 30_000].join(","), "]}")] {
        alone.holds(target("refusal"), body.as_bytes());
        alone.holds(target("grant"), format!("a{body}").as_bytes());
    }
}

#[test]
fn a_document_of_very_many_or_very_deep_parts_is_read_in_time() {
    let alone = Alone::wait();
    let attributes: Vec<String> = (0..MANY / 10).map(|n| format!("a{n}=\"\"")).collect();
    for document in [
        "<a>".repeat(MANY),
        "<EntityType>".repeat(MANY),
        around("<Schema>", &"<EntityType/>".repeat(MANY), "</Schema>"),
        around("<Schema><EntityType>", &"<Property/>".repeat(MANY), "</EntityType></Schema>"),
        around("<Schema><EntityType ", &attributes.join(" "), "/></Schema>"),
        around("<Schema><EntityType Name=\"", &"&amp;".repeat(MANY), "\"/></Schema>"),
        around("<Schema><", &"n".repeat(MANY), "></Schema>"),
        around("<!DOCTYPE a [", &"<!ENTITY b \"&c;&c;\">".repeat(MANY / 10), "]><Schema/>"),
    ] {
        alone.holds(target("metadata"), document.as_bytes());
    }
}

#[test]
fn a_few_kilobytes_that_unpack_to_very_many_are_cut_at_the_limit() {
    let alone = Alone::wait();
    let mut packer = GzEncoder::new(vec![255], Compression::best());
    for _ in 0..64 {
        packer.write_all(&vec![0; 1024 * 1024]).unwrap();
    }
    let bomb = packer.finish().unwrap();
    assert!(bomb.len() < 100 * 1024, "{} bytes", bomb.len());
    alone.holds(target("gzip"), &bomb);
    let empty = GzEncoder::new(Vec::new(), Compression::fast()).finish().unwrap().repeat(5000);
    alone.holds(target("gzip"), &[&[1], empty.as_slice()].concat());
}

#[test]
fn a_link_to_a_host_with_a_very_long_name_is_refused_in_a_line() {
    let alone = Alone::wait();
    for label in ["a", "a.", "%41", "é", "xn--"] {
        alone.holds(target("link"), around("https://", &label.repeat(MANY / 20), "/").as_bytes());
    }
}
