//! A real PostgreSQL over a network: reached where it proves who it is, and not at all otherwise.

use std::net::UdpSocket;

use crate::store::{Store, StoreError};
use crate::testing::matrix;
use crate::testing::postgres::Cluster;
use crate::testing::sinks::TestAuthority;

/// An address of this machine that is not the loopback. Nothing is sent.
fn own_address() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.connect("192.0.2.77:9").expect("a network besides the loopback");
    socket.local_addr().expect("its address").ip().to_string()
}

#[tokio::test]
async fn postgresql_over_a_network_proves_who_it_is_or_is_not_used() {
    let address = own_address();
    let cluster = Cluster::listening_at(&address);
    // By whatever else a client would have taken it for good.
    for query in ["", "sslmode=disable", "sslmode=prefer", "sslmode=require", "sslmode=verify-ca"] {
        let url = cluster.address_without("postgres", query);
        let refused = Store::connect(&url, 2).await.unwrap_err();
        assert!(matches!(refused, StoreError::Unsafe(_)), "{query}: {refused}");
        let said = refused.to_string();
        assert!(said.contains(&address) && said.contains("sslmode=verify-full"), "{said}");
    }
    // Of an authority that nobody has named.
    let url = cluster.address_without("postgres", "sslmode=verify-full");
    let refused = Store::connect(&url, 2).await.unwrap_err().to_string();
    assert!(refused.contains("certificate") || refused.contains("UnknownIssuer"), "{refused}");
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.pem");
    std::fs::write(&other, TestAuthority::new().pem).unwrap();
    let url = format!("{url}&sslrootcert={}", other.display());
    let refused = Store::connect(&url, 2).await.unwrap_err().to_string();
    assert!(refused.contains("certificate") || refused.contains("UnknownIssuer"), "{refused}");

    let store = Store::connect(&cluster.address("postgres"), 2).await.unwrap();
    let mut conn = store.read().await.unwrap();
    let encrypted: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl")
            .fetch_one(&mut *conn)
            .await
            .unwrap();
    let version: String =
        sqlx::query_scalar("SHOW server_version").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(encrypted, 1);
    drop(conn);
    store.close().await;

    matrix::holds(
        "Database",
        "PostgreSQL",
        version.split(' ').next().unwrap_or_default(),
        "over a network, without TLS, with TLS that proves nothing, of an unknown authority, and by verify-full",
        "it is used by verify-full alone",
    );
}

/// Protects from a server that has a good certificate, of another name.
#[tokio::test]
async fn a_certificate_of_another_name_is_none() {
    let address = own_address();
    let cluster = Cluster::named(&address, "db.example");
    let refused = Store::connect(&cluster.address("postgres"), 2).await.unwrap_err().to_string();
    assert!(refused.contains("certificate") || refused.contains("NotValidForName"), "{refused}");
}
