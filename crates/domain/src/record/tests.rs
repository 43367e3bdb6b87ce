use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const COLUMNS: [&str; 3] = ["ListPrice", "City", "ListingKey"];

fn shape() -> Shape {
    Shape::new(Resource::Property, &COLUMNS, BTreeSet::from(["PrivateRemarks".to_owned()]))
}

fn hash_of(json: &str) -> Hash {
    read(json, &shape()).map_or(Hash([0; 16]), |record| record.hash)
}

const PLAIN: &str =
    r#"{"ListingKey":"1","ListPrice":1,"City":"Fernhollow","Pool":["a","b"],"Sub":{"x":1,"y":null}}"#;

#[test]
fn spelling_changes_no_hash() {
    assert_ne!(hash_of(PLAIN), Hash([0; 16]));
    for same in [
        r#"{"City":"Fernhollow","ListPrice":1.0,"ListingKey":"1","Pool":["b","a"],"Sub":{"x":1e0}}"#,
        r#"{"@odata.id":"https://other/Property('1')","ListingKey":"1","ListPrice":10e-1,"City":"Fern\u0068ollow","Pool":["a","b"],"Sub":{"@odata.type":"t","x":1}}"#,
        r#"{"ListingKey":"1","ListPrice":7,"ListPrice":1,"City":"Fernhollow","Pool":["a","b"],"Sub":{"x":1},"Gone":null}"#,
        r#"{"ListingKey":"1","ListPrice":1,"City":"Fernhollow","Pool":["a","b"],"Sub":{"x":1},"Media":[{"MediaKey":"9"}],"PrivateRemarks":"secret"}"#,
    ] {
        assert_eq!(hash_of(same), hash_of(PLAIN), "{same}");
    }
}

#[test]
fn content_changes_the_hash() {
    for other in [
        r#"{"ListingKey":"1","ListPrice":1.01,"City":"Fernhollow","Pool":["a","b"],"Sub":{"x":1}}"#,
        r#"{"ListingKey":"1","ListPrice":"1","City":"Fernhollow","Pool":["a","b"],"Sub":{"x":1}}"#,
        r#"{"ListingKey":"1","ListPrice":1,"City":"Fernhollow","Pool":["a","b"],"Sub":{"x":1},"Buyer@Core.Permissions":"None"}"#,
        r#"{"ListingKey":"1","ListPrice":1,"City":"Fernhollow","Pool":["a","b"],"Sub":{}}"#,
        r#"{"ListingKey":"1","ListPrice":1,"City":"Fernhollow","Pool":[],"Sub":{"x":1}}"#,
        r#"{"ListingKey":"1","ListPrice":1,"City":"Fernhollow","Pool":["ab"],"Sub":{"x":1}}"#,
    ] {
        assert_ne!(hash_of(other), hash_of(PLAIN), "{other}");
    }
}

#[test]
fn digits_beyond_a_float_count() {
    let of = |price: &str| hash_of(&format!(r#"{{"ListingKey":"1","ListPrice":{price}}}"#));
    assert_ne!(of("123456789012345678901234567890.10"), of("123456789012345678901234567890.11"));
    assert_eq!(of("-0.0"), of("0"));
    assert_eq!(of("12300e-2"), of("123"));
}

#[test]
fn the_body_keeps_hidden_fields_and_drops_relations_noise_and_exclusions() {
    let json = r#"{"@odata.id":"x","ListingKey":"1","Buyer@Core.Permissions":"None","Media":[],"Media@odata.nextLink":"y","PrivateRemarks":"s","PrivateRemarks@Core.Permissions":"None","A \"b\"":1}"#;
    let record = read(json, &shape()).map(|record| record.body(&shape()));
    assert_eq!(record.as_deref(), Ok(r#"{"ListingKey":"1","Buyer@Core.Permissions":"None","A \"b\"":1}"#));
}

#[test]
fn an_excluded_field_fills_no_column_by_any_of_its_names_and_is_in_no_quarantine() {
    let excluded = BTreeSet::from(["ListPrice".to_owned()]);
    let shape = Shape::new(Resource::Property, &COLUMNS, excluded).or_named(&[("Price", "ListPrice")]);
    let json = r#"{"ListingKey":"1","ListPrice":5,"Price":6,"City":"Fernhollow"}"#;
    let Ok(record) = read(json, &shape) else { panic!("it is a record") };
    assert_eq!(record.columns, [None, Some("\"Fernhollow\""), Some("\"1\"")]);
    let kept = r#"{"ListingKey":"1","City":"Fernhollow"}"#;
    assert_eq!((record.body(&shape).as_str(), record.shown(&shape).as_str()), (kept, kept));
    let rejected = |json| read(json, &shape).map_err(|rejected| rejected.raw).err();
    assert_eq!(rejected(r#"{"ListPrice":5,"City":"x"}"#).as_deref(), Some(r#"{"City":"x"}"#));
    assert!(rejected(r#"{"ListPrice":5,"#).is_some_and(|raw| !raw.contains('5')));
}

#[test]
fn media_whose_stamp_or_address_is_not_shown_may_have_changed_with_any_edit() {
    let state = |minute: u32, tours: &str| {
        let json = format!(
            r#"{{"ListingKey":"1","PhotosChangeTimestamp":"2026-01-01T00:00:00Z","ModificationTimestamp":"2026-02-01T00:{minute:02}:00Z"{tours}}}"#
        );
        read(&json, &shape())
            .map(|record| (record.fingerprint.text, record.fingerprint.newest))
            .unwrap_or_default()
    };
    let (counted, addressed) =
        (r#","VirtualToursCount":1"#, r#","VirtualToursCount":1,"VirtualTourURLBranded":"u""#);
    assert_ne!(state(1, counted), state(2, counted));
    assert!(state(1, counted).1 < state(2, counted).1, "an older copy is known as one");
    let unseen = r#","VideosCount":1,"VideosChangeTimestamp@Core.Permissions":"None""#;
    assert_ne!(state(1, unseen), state(2, unseen), "videos whose stamp is hidden");
    let seen = r#","VideosCount":1,"VideosChangeTimestamp":"2026-01-01T00:00:00Z""#;
    for same in [addressed, seen, r#","VirtualToursCount":0"#, ""] {
        assert_eq!(state(1, same), state(2, same), "{same}");
    }
    assert_ne!(state(1, counted).0, state(1, r#","VirtualToursCount":0"#).0);
}

#[test]
fn a_number_for_a_key_is_kept_as_it_is_written() {
    let json = r#"{"ListingKey":"1","Room":[{"RoomKey":4300},{"RoomKey":4.30e3},{"RoomKey":007}]}"#;
    let keys = |json: &str| -> Vec<String> {
        let Ok(record) = read(json, &shape()) else { return Vec::new() };
        record.relations[0].members.iter().map(|member| member.key.clone()).collect()
    };
    assert_eq!(keys(json), Vec::<String>::new(), "007 is no JSON");
    assert_eq!(keys(&json.replace("007", "7")), ["4300", "43e2", "7"]);
}

#[test]
fn a_count_of_photos_is_read_however_it_is_spelled() {
    let photos = |count: &str| {
        let json = format!(r#"{{"ListingKey":"1","PhotosCount":{count}}}"#);
        read(&json, &shape()).map_or(None, |record| record.fingerprint.photos)
    };
    for (spelled, count) in [("7", 7), ("10", 10), ("20.0", 20), ("\"100\"", 100), ("12e1", 120), ("0", 0)] {
        assert_eq!(photos(spelled), Some(count), "{spelled}");
    }
    for none in ["1.5", "-3", "1e30", "\"many\"", "null"] {
        assert_eq!(photos(none), None, "{none}");
    }
}

#[test]
fn media_say_which_of_their_parts_they_are_silent_of() {
    let json = r#"{"ListingKey":"1","Media@Spark.Absent":["Videos","Holograms"],"Media":[],"Media@Spark.Omitted":["FloPlans"]}"#;
    let record = read(json, &shape());
    let Ok(record) = record else { panic!("{record:?}") };
    let media = record.relation(Relation::Media);
    assert!(
        media.is_some_and(|set| set.absent == [MediaPart::Videos] && set.omitted == [MediaPart::FloPlans])
    );
    let silent = |part| media.is_some_and(|set| set.says_nothing_of(part));
    assert_eq!(MediaPart::ALL.map(silent), [false, true, false, false, true]);
    assert_eq!(record.body(&shape()), r#"{"ListingKey":"1"}"#);
    assert_eq!(Ok(record.hash), read(r#"{"ListingKey":"1"}"#, &shape()).map(|record| record.hash));
}

#[test]
fn one_pass_finds_key_stamps_columns_and_relations() {
    let json = r#"{"ListingKey":"2025","ListPrice":525000.50,"City":null,"ModificationTimestamp":"2026-02-20T16:41:12Z","PhotosCount":2.0,"PhotosChangeTimestamp":"2026-02-20T16:40:05+00:00","VideosChangeTimestamp@Core.Permissions":"None","Media":[{"MediaKey":"m1","MediaCategory":"Photo"},{"MediaURL":"u"}],"Media@odata.nextLink":"more","Room":[]}"#;
    let record = read(json, &shape());
    let Ok(record) = record else { panic!("{record:?}") };
    assert_eq!(record.key.as_str(), "2025");
    assert_eq!(record.modified_at.map(|t| t.timestamp()), Some(1_771_605_672));
    assert_eq!(record.columns, [Some("525000.50"), None, Some("\"2025\"")]);
    assert_eq!(record.fingerprint.text, "p=2026-02-20T16:40:05Z P=2");
    assert_eq!(record.fingerprint.photos, Some(2));
    let media = record.relation(Relation::Media);
    let keys: Vec<_> = media.iter().flat_map(|set| &set.members).map(|member| member.key.as_str()).collect();
    assert_eq!(keys, ["m1", "1"], "a member without a key gets its ordinal");
    assert!(media.is_some_and(|set| set.incomplete));
    assert!(record.relation(Relation::Room).is_some_and(|set| set.members.is_empty()));
    assert_eq!(record.relation(Relation::Unit), None, "an absent expansion is not an empty one");
}

#[test]
fn the_last_of_two_members_with_one_key_is_the_member() {
    let json = r#"{"ListingKey":"1","Media":[{"MediaKey":"a","Order":1},{"MediaKey":"b"},{"MediaKey":"a","Order":2},{"MediaKey":"c"}]}"#;
    let record = read(json, &shape());
    let Ok(record) = record else { panic!("{record:?}") };
    let members = record.relation(Relation::Media).map(|set| &set.members);
    let members: Vec<_> =
        members.into_iter().flatten().map(|member| (member.key.as_str(), member.raw)).collect();
    let expected =
        [("b", r#"{"MediaKey":"b"}"#), ("a", r#"{"MediaKey":"a","Order":2}"#), ("c", r#"{"MediaKey":"c"}"#)];
    assert_eq!(members, expected);
}

#[test]
fn without_a_visible_stamp_the_modification_counts() {
    let json =
        r#"{"ListingKey":"1","ModificationTimestamp":"2026-02-20T16:41:12Z","PhotosChangeTimestamp":null}"#;
    let text = read(json, &shape()).map(|record| record.fingerprint.text);
    assert_eq!(text.as_deref(), Ok("m=2026-02-20T16:41:12Z"));
}

#[test]
fn a_record_without_a_usable_key_is_rejected_with_what_was_found() {
    for (json, part) in [
        (r#"{"ListPrice":1}"#, "the field is absent"),
        (r#"{"ListingKey":17}"#, "17"),
        (r#"{"ListingKey":""}"#, "\"\""),
        ("{\"ListingKey\":[\n\t1]}", "[  1]"),
        ("[]", "not a JSON object"),
    ] {
        let reason =
            read(json, &shape()).err().map(|rejected| rejected.reason.to_string()).unwrap_or_default();
        assert!(reason.contains(part), "{json}: {reason}");
    }
}

#[test]
fn nesting_beyond_every_real_record_is_rejected_and_not_followed() {
    let deep = format!(r#"{{"ListingKey":"1","A":{}1{}}}"#, "[".repeat(5000), "]".repeat(5000));
    let rejected = read(&deep, &shape()).err();
    assert!(matches!(rejected, Some(Rejected { reason: RejectReason::TooDeep { .. }, key: Some(_), .. })));
}

#[test]
fn nesting_without_end_does_not_exhaust_the_stack() {
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let braces = (r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    for deep in [format!("{open}{close}"), format!("{}1{}", braces.0, braces.1), open] {
        for record in [
            format!(r#"{{"ListingKey":"1","A":{deep}}}"#),
            format!(r#"{{"ListingKey":"1","Media":[{{"MediaKey":"1","A":{deep}}}]}}"#),
            deep.clone(),
        ] {
            let read = move || read(&record, &shape()).is_err();
            let thread = std::thread::Builder::new().stack_size(256 * 1024).spawn(read).unwrap();
            assert!(thread.join().unwrap(), "it was taken");
        }
    }
}

#[test]
fn a_record_of_a_hundred_thousand_members_is_read_and_one_of_more_than_any_has_is_not() {
    let with = |count: usize| {
        let members: Vec<String> = (0..count).map(|at| format!("\"M{at}\":[{at}]")).collect();
        format!(r#"{{"ListingKey":"1",{}}}"#, members.join(","))
    };
    assert!(read(&with(100_000), &shape()).is_ok());
    let refused = read(&with(200_001), &shape()).err().unwrap();
    assert!(refused.reason.to_string().contains("more than 200000 members"), "{}", refused.reason);
    assert!(refused.raw.len() <= MOST_SHOWN);
    let list = format!(r#"{{"ListingKey":"1","A":[0{}]}}"#, ",1".repeat(200_000));
    assert!(matches!(read(&list, &shape()).err().unwrap().reason, RejectReason::Unreadable(_)));
}

#[test]
fn a_set_of_a_hundred_thousand_members_is_read_in_time() {
    let photo = |at: u32| format!(r#"{{"MediaKey":"{}"}}"#, at % 60_000);
    let photos: Vec<String> = (0..100_000).map(photo).collect();
    let raw = format!(r#"{{"ListingKey":"1","Media":[{}]}}"#, photos.join(","));
    let began = std::time::Instant::now();
    let record = read(&raw, &shape()).unwrap();
    let set = &record.relations[0].members;
    assert_eq!((set.len(), set[0].key.as_str(), set[59_999].key.as_str()), (60_000, "40000", "39999"));
    // A comparison of each with each takes minutes.
    assert!(began.elapsed().as_secs() < 10, "it took {:?}", began.elapsed());
}

#[test]
fn a_record_larger_than_any_is_rejected_by_its_key_and_its_beginning_is_kept() {
    let raw = format!(r#"{{"ListingKey":"1","A":"{}"}}"#, "é".repeat(8_000_000));
    let rejected = read(&raw, &shape()).err().unwrap();
    assert!(matches!(rejected.reason, RejectReason::TooBig { limit: 16_000_000, .. }), "{}", rejected.reason);
    assert!(rejected.key.is_some() && rejected.raw.len() <= MOST_SHOWN && raw.starts_with(&rejected.raw));
}

#[test]
fn what_postgres_cannot_hold_is_replaced_in_place() {
    for (before, after, count) in [
        (r#"{"a":"x\u0000y"}"#, r#"{"a":"x\ufffdy"}"#, 1),
        (r#"{"a":"x\\u0000y"}"#, r#"{"a":"x\\u0000y"}"#, 0),
        (r#"{"a":"\\\u0000"}"#, r#"{"a":"\\\ufffd"}"#, 1),
        (
            r#"{"a":"\ud83d\ude00 \ud83d x \ude00 \u00e9 \ud83d\u0041"}"#,
            r#"{"a":"\ud83d\ude00 \ufffd x \ufffd \u00e9 \ufffd\u0041"}"#,
            3,
        ),
        (r#"{"a":"\n\t\\"}"#, r#"{"a":"\n\t\\"}"#, 0),
        (r#""\u00"#, r#""\u00"#, 0),
    ] {
        let mut bytes = before.as_bytes().to_vec();
        assert_eq!(scrub_in_place(&mut bytes), count, "{before}");
        assert_eq!(String::from_utf8(bytes).as_deref(), Ok(after));
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in ".{0,200}") {
        let _ = read(&text, &shape());
        let _ = normalise_number(&text);
        let mut bytes = text.into_bytes();
        scrub_in_place(&mut bytes);
    }

    #[test]
    fn scrubbed_strings_are_always_readable(units in prop::collection::vec(any::<u16>(), 0..40)) {
        let escaped = units.iter().fold(String::new(), |text, unit| text + &format!("\\u{unit:04x}"));
        let mut json = format!("\"{escaped}\"").into_bytes();
        scrub_in_place(&mut json);
        let text: Result<String, _> = serde_json::from_slice(&json);
        prop_assert!(text.is_ok_and(|text| !text.contains('\0')));
    }

    #[test]
    fn a_number_means_the_same_however_it_is_spelled(digits in -1_000_000_000i64..1_000_000_000, zeros in 0usize..6) {
        let plain = normalise_number(&digits.to_string());
        let shifted = normalise_number(&format!("{digits}{}e-{zeros}", "0".repeat(zeros)));
        prop_assert_eq!(plain, shifted);
    }
}
