//! The sinks that a deployment sends new rows to.

use std::path::Path;
use std::sync::Arc;

use keyturn::config::Config;
use keyturn::delivery::forward::Sink;
use keyturn::delivery::forward::http::HttpSink;
use keyturn::delivery::forward::syslog::SyslogSink;
use keyturn::delivery::forward::trust::Trust;

use super::start::text;

/// The sinks of the settings. Certificates and keys are read now.
pub fn sinks(config: &Config) -> Result<Vec<Arc<dyn Sink>>, String> {
    let forward = &config.forward;
    let read = |name: &str, file: &Path| {
        std::fs::read(file).map_err(|e| format!("{name} {}: {e}", file.display()))
    };
    let authorities = match &forward.ca_file {
        None => None,
        Some(file) => Some(read("forward_ca_file", file)?),
    };
    let identity = match &forward.identity {
        None => None,
        Some((certificate, key)) => Some((
            read("forward_client_cert_file", certificate)?,
            std::fs::read_to_string(key)
                .map_err(|e| format!("forward_client_key_file {}: {e}", key.display()))?
                .into(),
        )),
    };
    let besides = match &config.ca_file {
        None => None,
        Some(file) => Some(read("ca_file", file)?),
    };
    let trust = Trust { authorities, besides, identity };
    let mut all: Vec<Arc<dyn Sink>> = Vec::new();
    if let Some(address) = &forward.syslog {
        let sink = SyslogSink::new(address, &trust, &config.log_origin).map_err(text)?;
        all.push(Arc::new(sink.byte_order_mark(forward.syslog_bom)));
    }
    if let Some(address) = &forward.http {
        let sink = HttpSink::new(address, forward.http_token.as_ref(), &trust).map_err(text)?;
        all.push(Arc::new(sink));
    }
    Ok(all)
}
