//! The panel on the page of the logs' integrity that says how far their rows have come at the
//! sinks they are sent to.

use leptos::prelude::*;
use sqlx::AnyConnection;

use crate::model::{Micros, time};
use crate::store;
use crate::store::forward::{self, SinkState, Stuck};
use crate::web::components::{ago, state};

/// A forwarder that has not been seen for so long is not running.
const SILENCE: Micros = 2 * time::MINUTE;

/// A sink that nothing was sent to for so long is one of the past.
const PAST: Micros = 7 * time::DAY;

/// A sink, and the logs that do not come forward there.
pub type Sinks = Vec<(SinkState, Vec<Stuck>)>;

/// How the sinks are doing.
///
/// # Errors
/// Where the database does not answer.
pub async fn load(conn: &mut AnyConnection, now: Micros) -> store::Result<Sinks> {
    let mut all = Vec::new();
    for sink in forward::sinks(conn, now - PAST).await? {
        let stuck = forward::stuck(conn, &sink.sink).await?;
        all.push((sink, stuck));
    }
    Ok(all)
}

/// The panel.
pub fn panel(sinks: &Sinks, now: Micros) -> AnyView {
    let rows = sinks
        .iter()
        .map(|(sink, stuck)| {
            view! {
                <tr>
                    <th scope="row" class="card-title"><span class="mono">{sink.sink.clone()}</span></th>
                    <td data-label="Not sent yet">{count(sink.behind)}</td>
                    <td data-label="Took rows last">{match sink.sent_at {
                        Some(at) => ago(at, now),
                        None => view! { "never" }.into_any(),
                    }}</td>
                    <td data-label="State"><ul class="stack-2">{doing(sink, now)}{stuck.iter().map(of_log).collect_view()}</ul></td>
                </tr>
            }
        })
        .collect_view();
    let body = if sinks.is_empty() {
        view! {
            <div class="panel-body"><p class="muted">
                "Rows are sent nowhere else. The settings are "<code>"forward_syslog"</code>" and "<code>"forward_http"</code>"."
            </p></div>
        }
        .into_any()
    } else {
        view! {
            <table class="table">
                <thead><tr>
                    <th scope="col">"Sink"</th><th scope="col">"Not sent yet"</th>
                    <th scope="col">"Took rows last"</th><th scope="col">"State"</th>
                </tr></thead>
                <tbody>{rows}</tbody>
            </table>
        }
        .into_any()
    };
    view! {
        <section class="panel" aria-label="Forwarding">
            <div class="panel-head"><h2>"Forwarding"</h2><p>"new rows of every log, each at least once, in order"</p></div>
            {body}
        </section>
    }
    .into_any()
}

fn count(rows: i64) -> String {
    match rows {
        1 => "1 row".to_owned(),
        n => format!("{n} rows"),
    }
}

fn doing(sink: &SinkState, now: Micros) -> AnyView {
    if now - sink.beat_at.max(sink.next_at) > SILENCE {
        let since = format!("since {}", time::relative(sink.beat_at, now));
        return item(state("state-bad", "warning", "Not running"), since);
    }
    match &sink.last_error {
        Some(why) => item(
            state("state-needs", "warning", "Does not take rows"),
            format!("{why} {}", attempts(sink.failures)),
        ),
        None if sink.behind == 0 => item(state("state-ok", "check", "Has all rows"), String::new()),
        None => item(state("", "clock", "Sending"), String::new()),
    }
}

fn item(state: AnyView, more: String) -> AnyView {
    view! { <li>{state}" "<small>{more}</small></li> }.into_any()
}

fn attempts(failures: i64) -> String {
    match failures {
        1 => "(tried once; it is tried again)".to_owned(),
        n => format!("(tried {n} times; it is tried again)"),
    }
}

fn of_log(log: &Stuck) -> AnyView {
    let what = if log.next_seq > log.size {
        format!(
            "{}: it took {} rows, and there are {}: the log was cut back",
            log.log_id, log.next_seq, log.size
        )
    } else {
        let why = log.last_error.clone().unwrap_or_default();
        format!("{}, from row {}: {why}", log.log_id, log.next_seq)
    };
    item(state("state-bad", "warning", "A log does not come forward"), what)
}
