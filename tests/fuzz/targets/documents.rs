//! Documents that people write: any text is a document or a list of errors with lines. A plan and
//! a site that are accepted are worked out as far as admission does it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let site = formats::site::parse("site.toml", text);
    let plan = formats::plan::parse("plan.toml", text);
    let _ = formats::policy::parse("policy.toml", text);
    let _ = formats::permit::parse("permit.toml", text);
    let _ = formats::interlocks::parse("interlocks.toml", text);
    let _ = formats::sources::parse("meters.toml", text);
    // Both in one text, parted as no document is.
    let (mut site, mut plan) = (site.ok(), plan.ok());
    if let Some((first, second)) = text.split_once("\n===\n") {
        site = site.or_else(|| formats::site::parse("site.toml", first).ok());
        plan = plan.or_else(|| formats::plan::parse("plan.toml", second).ok());
    }
    let Some(plan) = plan else { return };
    let names: Vec<String> = match &site {
        Some(site) => site.nodes().iter().take(64).map(|node| node.name.clone()).collect(),
        None => vec!["n1".to_owned(), "n2".to_owned()],
    };
    let _ = coordinator::run::phase_specs(&plan, site.as_ref(), &names);
});
