//! `/`: a page that lists the routes. Tells nothing about the supervisor.

use axum::Extension;
use axum::response::Html;

use super::access::Sight;

pub(super) async fn get(Extension(sight): Extension<Sight>) -> Html<String> {
    let version =
        if sight.is_limited() { String::new() } else { format!("Version {}. ", env!("CARGO_PKG_VERSION")) };
    let mut rows = String::new();
    for (path, what) in super::ROUTES {
        let cell =
            if path.contains('{') { path.to_owned() } else { format!("<a href=\"{path}\">{path}</a>") };
        rows.push_str(&format!("<tr><td><code>{cell}</code></td><td>{what}</td></tr>\n"));
    }
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Annulus supervisor</title>\n\
         <style>body{{font:16px/1.5 system-ui,sans-serif;margin:3rem auto;max-width:56rem;padding:0 1rem}}\
         td{{padding:.2rem 1.5rem .2rem 0;vertical-align:top}}</style></head>\n\
         <body><h1>Annulus supervisor</h1>\n<p>{version}This gateway is for reading; \
         <code>annulus svc</code> and <code>annulus sup</code> give commands.</p>\n<table>\n{rows}</table>\n</body></html>\n"
    ))
}
