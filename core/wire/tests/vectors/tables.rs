//! The tables of services and of status codes.

use flyer_types::StatusCode;
use flyer_wire::service::{CLIENT_AGENT, SERVICES, Service};
use serde_json::Value;

/// Checks `services.json`, both ways.
pub(crate) fn services(root: &Value) -> Result<usize, String> {
    let theirs = root.as_array().ok_or("is not a list")?;
    let ours: Vec<&Service> = SERVICES.iter().chain([&CLIENT_AGENT]).collect();
    if theirs.len() != ours.len() {
        return Err(format!("{} services instead of {}", ours.len(), theirs.len()));
    }
    let mut facts = 0;
    for service in theirs {
        let name = service["name"].as_str().ok_or("a service has no name")?;
        let ours = ours
            .iter()
            .find(|s| s.name == name)
            .ok_or_else(|| format!("no service {name}"))?;
        let methods = service["methods"].as_array().ok_or("a service has no methods")?;
        if service["id"] != ours.id.0 || methods.len() != ours.methods.len() {
            return Err(format!(
                "{name}: id {} with {} methods",
                ours.id,
                ours.methods.len()
            ));
        }
        for method in methods {
            let found = ours.methods.iter().find(|m| {
                method["name"] == m.name
                    && method["id"] == m.id.0
                    && method["request"] == m.request
                    && method["response"] == m.response
            });
            found.ok_or_else(|| format!("{name} has no method {method}"))?;
            facts += 1;
        }
    }
    Ok(facts)
}

/// Checks `status.json`, both ways.
pub(crate) fn status(root: &Value) -> Result<usize, String> {
    for key in root.as_object().ok_or("is not an object")?.keys() {
        if !matches!(key.as_str(), "codes" | "unknown_code_errno" | "describe") {
            return Err(format!("a part this test does not know: {key}"));
        }
    }
    let theirs = root["codes"].as_array().ok_or("has no codes")?;
    let mut facts = 0;
    for row in theirs {
        let code = StatusCode(
            row["code"]
                .as_u64()
                .and_then(|c| u16::try_from(c).ok())
                .ok_or("a row has no code")?,
        );
        let equal = code.is_known()
            && row["name"] == code.name()
            && row["group"] == code.group().name()
            && row["errno"] == code.errno().0
            && row["errno_name"] == code.errno().to_string()
            && row["storage_client_code"] == code.to_storage_client().0;
        if !equal {
            return Err(format!("{code} is not {row}"));
        }
        facts += 1;
    }
    if StatusCode::all().count() != theirs.len() {
        return Err(format!(
            "{} codes here instead of {}",
            StatusCode::all().count(),
            theirs.len()
        ));
    }
    let unknown = StatusCode(u16::MAX);
    if root["unknown_code_errno"] != unknown.errno().0 {
        return Err(format!("unknown codes are {}", unknown.errno()));
    }
    Ok(facts + 1 + describe(&root["describe"])?)
}

/// How a status prints, without and with a message.
fn describe(examples: &Value) -> Result<usize, String> {
    use flyer_types::Status;
    let not_found = StatusCode::META_NOT_FOUND;
    let ours =
        [Status::from(not_found), Status::with_message(not_found, "x")].map(|status| status.to_string());
    if *examples == serde_json::json!(ours) {
        Ok(ours.len())
    } else {
        Err(format!("{ours:?} instead of {examples}"))
    }
}
