//! What tests share: databases of both engines, a desk with a clock that can be moved, and the
//! people and orgs of the stories.

pub(crate) mod bench;
pub(crate) mod breakable;
pub(crate) mod child;
pub(crate) mod connect;
pub(crate) mod deaths;
pub(crate) mod gateways;
pub(crate) mod mailbox;
pub(crate) mod matrix;
pub(crate) mod openbao;
pub(crate) mod openbao_raft;
pub(crate) mod openpgp;
pub(crate) mod owners;
pub(crate) mod postfix;
pub(crate) mod postgres;
pub(crate) mod programs;
pub(crate) mod real;
pub(crate) mod receiver;
pub(crate) mod sinks;
pub(crate) mod story;
mod template;
pub(crate) mod vault_server;
pub(crate) mod witness;
pub(crate) mod zendesk_server;

pub(crate) use bench::Bench;

/// Makes two tests of each function named, `name::sqlite` and `name::postgres`. The function is
/// an `async fn(Bench)`.
macro_rules! both_engines {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test]
            async fn sqlite() {
                super::$name($crate::testing::Bench::new($crate::store::Engine::Sqlite).await).await;
            }

            #[tokio::test]
            async fn postgres() {
                super::$name($crate::testing::Bench::new($crate::store::Engine::Postgres).await).await;
            }
        }
    )+};
}
pub(crate) use both_engines;
