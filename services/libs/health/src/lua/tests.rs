use std::time::Instant;

use serde_json::json;

use super::*;

fn assess(text: &str, object: Value) -> Result<Health, LuaError> {
    Script::new(text).assess(&object)
}

fn said(text: &str) -> String {
    match assess(text, json!({})) {
        Ok(health) => format!("{health:?}"),
        Err(error) => error.to_string(),
    }
}

/// In the manner of the scripts that Argo CD has: `goto`, `ipairs`, numbers in text, lengths.
const CERTIFICATE: &str = r#"
local hs = {}
if obj.status ~= nil and obj.status.conditions ~= nil then
  for i, condition in ipairs(obj.status.conditions) do
    if condition.type ~= "Ready" then
      goto continue
    end
    if condition.status == "False" then
      hs.status = "Degraded"
      hs.message = condition.message .. " after " .. obj.status.revision .. " of " .. #obj.status.conditions
      return hs
    end
    hs.status = "Healthy"
    hs.message = condition.message
    do return hs end
    ::continue::
  end
end
hs.status = "Progressing"
hs.message = "Waiting for certificate"
return hs
"#;

#[test]
fn a_script_of_argo_cd_runs_as_it_is() {
    let certificate = |conditions: Value| json!({"status": {"revision": 3, "conditions": conditions}});
    let ready = |status: &str| json!([{"type": "Issuing"}, {"type": "Ready", "status": status, "message": "up to date"}]);
    let level =
        |object: Value| assess(CERTIFICATE, object).map(|health| (health.level, health.message)).unwrap();
    assert_eq!(level(json!({})), (Level::Progressing, "Waiting for certificate".into()));
    assert_eq!(level(certificate(ready("True"))), (Level::Healthy, "up to date".into()));
    let failed = level(certificate(ready("False")));
    assert_eq!(failed, (Level::Degraded, "up to date after 3 of 2".into()), "3 is not 3.0");
    assert_eq!(level(json!({"status": null})).0, Level::Progressing, "null is nil");
}

#[test]
fn what_argo_cds_sandbox_gives_is_there_and_what_it_takes_is_not() {
    let there = "local t = {1, 2}; table.insert(t, 3); return {status = 'Healthy', message = table.getn(t) .. type(os.time()) .. type(os.date('!%Y'))}";
    assert!(said(there).contains("3numberstring"), "{}", said(there));
    for gone in [
        "string",
        "math",
        "io",
        "debug",
        "ffi",
        "load",
        "loadstring",
        "dofile",
        "require",
        "package",
        "os.execute",
        "os.getenv",
        "os.exit",
        "jit",
    ] {
        let script = format!("return {{status = 'Healthy', message = tostring({gone})}}");
        assert!(said(&script).contains("\"nil\""), "{gone}: {}", said(&script));
    }
    let methods = "return {status = 'Healthy', message = ('x'):rep(3)}";
    assert!(said(methods).contains("the health script failed"), "{}", said(methods));
    let open = Script {
        open_libraries: true,
        ..Script::new("return {status = 'Healthy', message = string.upper('x') .. math.floor(1.5)}")
    };
    assert_eq!(open.assess(&json!({})).unwrap().message, "X1");
}

#[test]
fn a_script_without_end_or_measure_is_ended() {
    let begun = Instant::now();
    assert!(said("while true do end").contains("longer than 1 s"));
    assert!(
        said("pcall(function() while true do end end) while true do end").contains("longer than 1 s"),
        "nor by catching it"
    );
    assert!(
        said("while true do pcall(function() while true do end end) end").contains("longer than 1 s"),
        "however often"
    );
    assert!(said("\u{1b}LJ\u{2}").contains("failed"), "no bytecode");
    assert!(begun.elapsed() < TIME * 6);
    let greedy = "local t = {} while true do t[#t + 1] = {1, 2, 3, 4, 5, 6, 7, 8} end";
    assert!(said(greedy).contains("memory"), "{}", said(greedy));
    let long = assess(
        "local m = 'x' for i = 1, 17 do m = m .. m end return {status = 'Healthy', message = m}",
        json!({}),
    );
    assert_eq!(long.unwrap().message.len(), MESSAGE);
    let deep = "local function f() return 1 + f() end return f()";
    assert!(said(deep).contains("stack overflow"), "{}", said(deep));
}

#[test]
fn what_a_script_gives_wrong_is_said() {
    assert!(
        said("return 5").contains("gives integer") || said("return 5").contains("gives number"),
        "{}",
        said("return 5")
    );
    assert!(said("return {status = 'Fine'}").contains("`Fine`"));
    assert!(said("return {}").contains("the status ``"));
    assert!(said("return {").contains("the health script failed: "));
    assert!(said("return obj.a.b").contains("health.lua:1"), "{}", said("return obj.a.b"));
}
