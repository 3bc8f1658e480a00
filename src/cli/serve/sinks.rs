//! The sinks that a deployment sends new rows to.

use std::path::Path;
use std::sync::Arc;

use keyturn::config::Config;
use keyturn::delivery::forward::Sink;
use keyturn::delivery::forward::http::HttpSink;
use keyturn::delivery::forward::syslog::SyslogSink;
use keyturn::delivery::forward::trust::Trust;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::parts::Wrong;
use crate::cli::start::text;

/// The sinks of the settings. Certificates and keys are read now.
pub fn sinks(config: &Config, wrong: &mut Wrong) -> Vec<Arc<dyn Sink>> {
    let forward = &config.forward;
    let mut read = |name: &str, file: Option<&Path>| {
        let file = file?;
        wrong.keep(std::fs::read(file).map_err(|e| format!("{name} {}: {e}", file.display())))
    };
    let authorities = read("forward_ca_file", forward.ca_file.as_deref());
    let besides = read("ca_file", config.ca_file.as_deref());
    let identity = forward.identity.as_ref().and_then(|(certificate, key)| {
        let pem = read("forward_client_cert_file", Some(certificate));
        let secret = read("forward_client_key_file", Some(key)).map(Zeroizing::new);
        Some((pem?, secret?, key))
    });
    let identity = identity.and_then(|(certificate, secret, file)| {
        let text = std::str::from_utf8(&secret).map(SecretString::from);
        let text = text.map_err(|e| format!("forward_client_key_file {}: {e}", file.display()));
        Some((certificate, wrong.keep(text)?))
    });
    // With a file that cannot be read none of them is used: what is wrong keeps the server down.
    let trust = Trust { authorities, besides, identity };
    let mut all: Vec<Arc<dyn Sink>> = Vec::new();
    if let Some(address) = &forward.syslog {
        let sink = SyslogSink::new(address, &trust, &config.log_origin).map_err(text);
        if let Some(sink) = wrong.keep(sink) {
            all.push(Arc::new(sink.byte_order_mark(forward.syslog_bom)));
        }
    }
    if let Some(address) = &forward.http {
        let sink = HttpSink::new(address, forward.http_token.as_ref(), &trust).map_err(text);
        if let Some(sink) = wrong.keep(sink) {
            all.push(Arc::new(sink));
        }
    }
    all
}
