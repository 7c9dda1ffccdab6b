use super::*;
use crate::findings;
use crate::model::fixture;
use crate::model::summary::Summary;
use crate::model::{Session, TargetInfo};

fn summary_of(session: &Session, keys: usize) -> Summary {
    let mut summary = session.summary(keys);
    findings::attach(&mut summary);
    summary
}

fn page(session: &Session, summary: &Summary) -> String {
    String::from_utf8(render(&Document { session, summary }).unwrap()).unwrap()
}

fn fixture_page() -> String {
    let session = fixture::session();
    page(&session, &summary_of(&session, 12))
}

const DATA: &str = "<script type=\"application/json\" id=\"data\">";

/// The embedded data, up to what a browser takes for its end.
fn embedded(page: &str) -> &str {
    let (_, rest) = page.split_once(DATA).unwrap();
    rest.split_once("</script").unwrap().0
}

#[test]
fn golden_data() {
    let page = fixture_page();
    let data: serde_json::Value = serde_json::from_str(embedded(&page)).unwrap();
    insta::assert_snapshot!("data", serde_json::to_string_pretty(&data).unwrap());
}

/// What was watched in windows.
#[test]
fn golden_data_windowed() {
    let session = fixture::windowed();
    let page = page(&session, &summary_of(&session, 12));
    let data: serde_json::Value = serde_json::from_str(embedded(&page)).unwrap();
    insta::assert_snapshot!("data_windowed", serde_json::to_string_pretty(&data).unwrap());
}

#[test]
fn the_page_is_the_same_for_the_same_session() {
    assert_eq!(fixture_page(), fixture_page());
}

#[test]
fn no_text_of_the_target_is_markup_or_ends_the_data() {
    let page = fixture_page();
    assert!(page.contains("\\u003cscript\\u003ealert(1)"), "the fixture has a key with markup");
    for foreign in ["<script>alert", "<1>", "\u{2028}", "\u{202e}", "\u{7}", "\u{1b}"] {
        assert!(!page.contains(foreign), "{foreign:?}");
    }
    let data = embedded(&page);
    assert!(!data.contains(['<', '>', '&', '\u{2028}', '\u{2029}']));
    // Its own two, which close.
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    assert!(page.contains("<title>/srv/shop/\\u{1b}[31mshop&lt;1&gt;&amp;&quot;2&quot; – mapprof"));
}

#[test]
fn marks_in_the_data_are_not_filled() {
    let session = fixture::session();
    let mut summary = summary_of(&session, 12);
    summary.maps[0].keys[0].key = "{{script}}{{style}}</script><!--<script>".to_owned();
    let page = page(&session, &summary);
    assert!(embedded(&page).contains("{{script}}{{style}}\\u003c/script\\u003e"));
    assert!(page.ends_with("</html>\n"));
}

#[test]
fn the_policy_names_what_is_in_the_page() {
    let page = fixture_page();
    assert!(page.contains("default-src 'none'"));
    let between = |before: &str, after: &str| {
        let (_, rest) = page.split_once(before).unwrap();
        rest.split_once(after).unwrap().0.to_owned()
    };
    for (kind, text) in [
        ("style", between("<style>", "</style>")),
        (
            "script",
            page.rsplit_once("<script>").unwrap().1.split_once("</script>").unwrap().0.to_owned(),
        ),
    ] {
        let digest = BASE64_STANDARD.encode(Sha256::digest(&text));
        assert!(page.contains(&format!("{kind}-src 'sha256-{digest}'")), "{kind}");
    }
}

#[test]
fn scripts_make_no_markup_of_text_and_fetch_nothing() {
    for script in SCRIPTS {
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "fetch(",
            "XMLHttp",
            "import(",
        ] {
            assert!(!script.contains(forbidden), "{forbidden} in {script}");
        }
    }
}

#[test]
fn nothing_seen_is_a_page_too() {
    let session = Session::new(TargetInfo { exe: "/bin/true".to_owned(), ..TargetInfo::default() });
    let page = page(&session, &summary_of(&session, 12));
    let data: serde_json::Value = serde_json::from_str(embedded(&page)).unwrap();
    assert_eq!(data["maps"], serde_json::json!([]));
    assert_eq!(data["flames"]["wait"]["all"], serde_json::json!([null, 0, 0, []]));
}

#[test]
fn the_figures_are_the_summarys() {
    let session = fixture::session();
    let summary = summary_of(&session, 12);
    let data: serde_json::Value =
        serde_json::from_str(embedded(&page(&session, &summary))).unwrap();
    for (map, shown) in summary.maps.iter().zip(data["maps"].as_array().unwrap()) {
        assert_eq!(shown["ops"], map.ops.total());
        for (key, shown) in map.keys.iter().zip(shown["keys"].as_array().unwrap()) {
            assert_eq!(shown["ops"], key.ops.total());
            assert_eq!(shown["wait"][1].as_u64(), key.wait.map(|h| h.sum_ns));
            // Over time they add up to the same.
            if let Some(over_time) = shown["past"]["ops"].as_array() {
                let sum: u64 = over_time.iter().filter_map(serde_json::Value::as_u64).sum();
                assert_eq!(sum, key.ops.total(), "{}", key.key);
            }
        }
    }
    for (lock, shown) in summary.locks.iter().zip(data["locks"].as_array().unwrap()) {
        assert_eq!(shown["wait"][0], lock.wait.count);
        let bars = shown["wait_bars"][1].as_array().unwrap();
        assert_eq!(bars.iter().filter_map(serde_json::Value::as_u64).sum::<u64>(), lock.wait.count);
    }
}
