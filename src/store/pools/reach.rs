//! The first word with a PostgreSQL server: whether there is one, said soon and by its address.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::store::{Result, StoreError};

/// How long a server has for its first answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a server says that is just starting, or stopping.
const NOT_YET: [&str; 3] = ["57P01", "57P02", "57P03"];

/// Opens a connection and closes it again. A pool would go on trying without a word.
///
/// # Errors
/// [`StoreError::NoAnswer`] where nobody answers; the server's own refusal where one does.
pub(in crate::store) async fn look_for(url: &str) -> Result<()> {
    let options: PgConnectOptions = url
        .parse()
        .map_err(|_| StoreError::Address("it cannot be read as an address".to_owned()))?;
    let place = place_of(&options);
    let nobody = |why: String| StoreError::NoAnswer { place: place.clone(), why };
    match tokio::time::timeout(PATIENCE, options.connect()).await {
        Err(_) => Err(nobody(format!("no answer within {} seconds", PATIENCE.as_secs()))),
        Ok(Ok(conn)) => {
            // It has answered; whether it hears the goodbye does not matter.
            tokio::time::timeout(PATIENCE, conn.close()).await.ok();
            Ok(())
        }
        Ok(Err(sqlx::Error::Io(e))) => Err(nobody(e.to_string())),
        Ok(Err(sqlx::Error::Database(e)))
            if e.code().is_some_and(|code| NOT_YET.contains(&code.as_ref())) =>
        {
            Err(nobody(e.message().to_owned()))
        }
        Ok(Err(e)) => Err(e.into()),
    }
}

/// Where the server is looked for: host and port, or its socket. Never who with.
fn place_of(options: &PgConnectOptions) -> String {
    let port = options.get_port();
    match options.get_socket() {
        Some(folder) => format!("{}/.s.PGSQL.{port}", folder.display()),
        None => format!("{}:{port}", options.get_host()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protects from a search for the wrong thing: the message says where it looked, and nothing
    /// that is secret.
    #[tokio::test]
    async fn where_nobody_listens_the_place_is_named_and_the_password_is_not() {
        let port = crate::testing::programs::free_port();
        let url = format!("postgres://keyturn:a-made-up-password@127.0.0.1:{port}/keyturn");
        let said = look_for(&url).await.unwrap_err();
        assert!(matches!(said, StoreError::NoAnswer { .. }), "{said:?}");
        let said = said.to_string();
        assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
        assert!(said.contains("refused"), "{said}");
        assert!(!said.contains("a-made-up-password"), "{said}");
    }

    #[tokio::test]
    async fn a_server_that_takes_the_connection_and_says_nothing_is_given_up_in_time() {
        let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = silent.local_addr().unwrap().port();
        let url = format!("postgres://keyturn@127.0.0.1:{port}/keyturn?sslmode=disable");
        let said = look_for(&url).await.unwrap_err().to_string();
        assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
        assert!(said.contains("no answer within"), "{said}");
    }

    #[tokio::test]
    async fn a_server_that_refuses_is_no_server_that_is_not_there() {
        let url = crate::testing::postgres::database().await;
        let elsewhere = url.replace("/t", "/no_such_database_t");
        let said = look_for(&elsewhere).await.unwrap_err();
        assert!(matches!(said, StoreError::Database(_)), "{said:?}");
        assert!(said.to_string().contains("does not exist"), "{said}");
        look_for(&url).await.unwrap();
    }

    #[test]
    fn every_kind_of_address_has_a_name() {
        for (url, place) in [
            ("postgres://a:b@db.example/keyturn", "db.example:5432"),
            ("postgresql://a@[2001:db8::1]:6000/keyturn", "[2001:db8::1]:6000"),
            ("postgres:///keyturn?host=/run/postgresql&port=5433", "/run/postgresql/.s.PGSQL.5433"),
        ] {
            assert_eq!(place_of(&url.parse().unwrap()), place, "{url}");
        }
    }
}
