//! JSON of things that several routes show. Formats what it is given, and asks nothing.

use annulus_core::{MemberRecord, PackageIdent, ServiceRumor, State, SysInfo};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// An answer that people read with curl as often as programs do: indented, with a line end.
pub(super) fn answer(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], format!("{value:#}\n")).into_response()
}

pub(super) fn sys(sys: &SysInfo) -> Value {
    json!({
        "ip": sys.ip,
        "hostname": sys.hostname,
        "gossip_ip": sys.gossip_ip,
        "gossip_port": sys.gossip_port,
        "http_gateway_ip": sys.http_gateway_ip,
        "http_gateway_port": sys.http_gateway_port,
        "ctl_gateway_ip": sys.ctl_gateway_ip,
        "ctl_gateway_port": sys.ctl_gateway_port,
    })
}

pub(super) fn ident(ident: &PackageIdent) -> Value {
    json!({
        "origin": ident.origin(),
        "name": ident.name(),
        "version": ident.version(),
        "release": ident.release(),
    })
}

/// Exported configuration, TOML text, as JSON. Empty when it is not TOML, because another member sent it.
pub(super) fn exports(toml_text: &[u8]) -> Value {
    let table = std::str::from_utf8(toml_text).ok().and_then(|text| text.parse::<toml::Table>().ok());
    table.and_then(|table| serde_json::to_value(table).ok()).unwrap_or_else(|| Value::Object(Map::new()))
}

pub(super) fn member(member: &MemberRecord) -> Value {
    json!({
        "id": member.id.to_string(),
        "incarnation": member.incarnation.0,
        "address": member.address.to_string(),
        "swim_port": member.swim_port,
        "gossip_port": member.gossip_port,
        "persistent": member.permanent,
        "departed": member.state == State::Departed,
        "probe_ping": false,
    })
}

pub(super) fn membership(member: &MemberRecord) -> Value {
    json!({
        "address": member.address.to_string(),
        "gossip_port": member.gossip_port,
        "incarnation": member.incarnation.0,
        "persistent": member.permanent,
        "swim_port": member.swim_port,
        "health": member.state.name(),
    })
}

pub(super) fn service_rumor(rumor: &ServiceRumor) -> Value {
    json!({
        "member_id": rumor.member_id.to_string(),
        "service_group": rumor.group.as_str(),
        "package": rumor.pkg.to_string(),
        "package_incarnation": rumor.pkg_incarnation,
        "incarnation": rumor.incarnation.0,
        "cfg": exports(&rumor.cfg),
        "sys": sys(&rumor.sys),
        "initialized": rumor.initialized,
        "accepting": rumor.accepting,
    })
}
