//! Meetings with the real programs that users have, short enough for every `make test`. Each
//! starts what it needs on a free port; none is skipped where something is missing.

pub(crate) mod api;
mod api_clients;
mod authorities;
mod connect;
mod csv;
mod disk_full;
mod est;
mod mail;
mod nginx;
mod ocsf;
mod openbao;
mod openbao_desk;
mod openbao_equal;
mod openbao_words;
mod openpgp;
mod postgres_tls;
mod proxies;
mod syslog;
mod tlog;
mod webhooks;
