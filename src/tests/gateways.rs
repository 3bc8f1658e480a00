//! Gateways: one that is online changes its certificate without losing a beat; one that is down
//! comes back with the handed-over bundle; what was replaced does not get in again.

use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair};
use secrecy::{ExposeSecret as _, SecretString};

use crate::desk::StepError;
use crate::desk::gateways::Standing;
use crate::desk::rotate::{Ask, Caller, Certified};
use crate::desk::rotate_certificate::TIME_TO_REENROL;
use crate::gateway::agent::{AgentError, State, Status, install};
use crate::gateway::identity::Folder;
use crate::gateway::{tls, wire};
use crate::model::{VersionState, time};
use crate::proof::row::{ActorType, Outcome};
use crate::proof::verdict::Verdict;
use crate::secrets::certificates::openssl::{must, openssl};
use crate::secrets::certificates::{Bundle, LIFE, serial_of};
use crate::store::secrets;
use crate::testing::gateways::{DUNE, Site, agent_in, plant};
use crate::testing::owners::{decrypt, owners};
use crate::testing::{Bench, both_engines};

both_engines!(
    a_gateway_that_is_online_changes_its_serial_within_one_beat,
    the_old_certificate_works_until_the_new_one_is_seen,
    a_reenrolment_after_the_end_of_the_impersonation_says_after_which,
    where_a_leak_is_suspected_nobody_who_beats_gets_the_new_certificate,
    a_gateway_that_was_down_comes_back_with_the_handed_over_bundle,
    of_two_rotations_at_once_one_is_made,
    where_the_deadline_passes_the_old_certificate_goes_on,
    a_key_that_was_certified_before_is_refused,
    nobody_reenrols_without_being_told_or_with_another_nonce,
    a_request_for_more_or_for_another_gets_less,
    an_answer_that_was_lost_is_made_good_and_its_certificate_revoked,
    the_customer_itself_gets_the_bundle_once_and_nothing_where_the_gateway_is_online,
    est_answers_on_the_same_listener,
    an_operators_authority_takes_over_without_a_gateway_noticing,
    a_new_identity_that_does_not_connect_is_rolled_back,
    a_revoked_certificate_is_cut_off_on_a_live_connection,
    an_agent_installs_only_its_own_bundle,
);

const DAY: i64 = time::DAY;

fn status(site: &Site) -> Status {
    let text = Folder::at(site.folder.path()).unwrap().read_status().unwrap();
    serde_json::from_slice(&text).unwrap()
}

async fn owner(bench: &Bench) -> Caller {
    Caller::Member(Box::new(bench.member("dune-owner").await))
}

fn request(params: CertificateParams, key: &KeyPair) -> Vec<u8> {
    params.serialize_request(key).unwrap().pem().unwrap().into_bytes()
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn plain_request() -> Vec<u8> {
    request(named(DUNE), &KeyPair::generate().unwrap())
}

async fn nonce(bench: &Bench, serial: &str) -> SecretString {
    bench.desk.heartbeat(serial, "test").await.unwrap().order.expect("an order").0
}

/// What `openssl s_client` hears with the identity of a folder, or of a bundle in it.
async fn s_client(site: &Site, file: &str) -> String {
    let (folder, port) = (site.folder.path().to_owned(), site.port);
    let file = file.to_owned();
    tokio::task::spawn_blocking(move || {
        let address = format!("127.0.0.1:{port}");
        let args = ["s_client", "-connect", &address, "-cert", &file, "-key", &file, "-ign_eof"];
        let ask =
            format!("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", wire::CRL);
        openssl(&folder, &args, &ask).1
    })
    .await
    .unwrap()
}

async fn a_gateway_that_is_online_changes_its_serial_within_one_beat(bench: Bench) {
    let site = Site::new(&bench, -87 * DAY, 3 * DAY).await;
    let mut agent = site.agent(&bench);
    agent.turn().await.unwrap();
    let old = agent.serial().to_owned();
    std::fs::copy(site.folder.path().join("identity.pem"), site.folder.path().join("old.pem"))
        .unwrap();
    assert!(s_client(&site, "old.pem").await.contains("BEGIN X509 CRL"));

    let (ada, grant, rotated) = bench.rotate_gateway().await;
    let deadline = bench.now() + TIME_TO_REENROL;
    let by = Certified::Reenrol { old_serial: Some(old.clone()), deadline };
    assert_eq!(rotated.certified, Some(by));
    assert!(rotated.value.is_none());
    assert_eq!(bench.versions(DUNE).await[0].state, VersionState::Pending);
    let row = bench.rows_of("dune", "mtls_certificate.rotated").await.remove(0);
    assert_eq!(row.actor_type, ActorType::PlatformAdminImpersonating);
    assert_eq!(row.detail_str("mode"), Some("reenrol"));
    assert_eq!(row.detail_str("old_serial"), Some(old.as_str()));

    agent.turn().await.unwrap();
    let new = agent.serial().to_owned();
    assert_ne!(new, old);
    let told = status(&site);
    // The beat that told it, and the one with the new certificate: none was lost.
    assert_eq!((told.state, told.beats), (State::Running, 3));
    assert_eq!((told.serial.as_str(), told.previous_serial.as_deref()), (&*new, Some(&*old)));

    let versions = bench.versions(DUNE).await;
    assert_eq!(versions[0].state, VersionState::Live);
    assert_eq!(versions[0].reference.as_deref(), Some(new.as_str()));
    assert_eq!(versions[1].state, VersionState::Retired);
    assert_eq!(bench.certificate(&old).await.reason.as_deref(), Some("superseded"));
    assert_eq!(
        bench.certificate(&new).await.not_after,
        (bench.now() + LIFE) / time::SECOND * time::SECOND
    );
    let row = bench.rows_of("dune", "mtls_certificate.reenrolled").await.remove(0);
    assert_eq!((row.actor_type, row.actor_id.as_str()), (ActorType::System, DUNE));
    assert_eq!(row.impersonation_id, None);
    assert_eq!(row.detail_str("old_serial"), Some(old.as_str()));

    // The old one does not get in any more.
    let said = loop {
        let said = s_client(&site, "old.pem").await;
        if !said.contains("403") {
            break said;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(said.contains("certificate revoked") && !said.contains("BEGIN X509 CRL"), "{said}");
    assert!(s_client(&site, "identity.pem").await.contains("BEGIN X509 CRL"));

    bench.hand_off(&ada, &grant.id).await.unwrap();
    let verdict = bench.verdict(&grant.id).await;
    assert_eq!(verdict.verdict, Verdict::Complete, "{verdict:?}");
    bench.verify_all().await.unwrap();
}

async fn the_old_certificate_works_until_the_new_one_is_seen(bench: Bench) {
    plant(&bench, -DAY, 3 * DAY).await;
    let old = bench.certificates().await[0].serial.clone();
    bench.desk.heartbeat(&old, "test").await.unwrap();
    bench.rotate_gateway().await;
    let nonce = nonce(&bench, &old).await;
    let issued = bench.desk.reenrol(&old, Some(&nonce), &plain_request()).await.unwrap();
    bench.desk.heartbeat(&old, "test").await.unwrap();
    assert_eq!(bench.versions(DUNE).await[0].state, VersionState::Pending);
    assert!(bench.desk.heartbeat(&issued.serial, "test").await.unwrap().order.is_none());
    let refused = bench.desk.heartbeat(&old, "test").await;
    assert!(matches!(refused, Err(StepError::Forbidden(why)) if why.contains("revoked")));
    bench.desk.heartbeat(&issued.serial, "test").await.unwrap();
    assert_eq!(bench.rows_of("dune", "mtls_certificate.reenrolled").await.len(), 1);
}

async fn a_reenrolment_after_the_end_of_the_impersonation_says_after_which(bench: Bench) {
    let site = Site::new(&bench, -DAY, 3 * DAY).await;
    let mut agent = site.agent(&bench);
    agent.turn().await.unwrap();
    let (ada, grant, _) = bench.rotate_gateway().await;
    bench.hand_off(&ada, &grant.id).await.unwrap();
    bench.desk.send_due().await.unwrap();
    let mail = bench.mailbox.about("NOV-4804] Your gateway");
    let keys = &bench.desk.keys.openpgp;
    let text =
        decrypt(&owners().modern, &keys.to_armored_public().unwrap(), mail.body.expose_secret()).0;
    assert!(text.contains("the gateway makes its own new key"), "{text}");
    assert!(!text.contains("PRIVATE KEY"));

    agent.turn().await.unwrap();
    let row = bench.rows_of("dune", "mtls_certificate.reenrolled").await.remove(0);
    assert_eq!(row.impersonation_id, None);
    assert_eq!(row.detail_str("after_impersonation"), Some(grant.id.as_str()));
    assert_eq!(bench.verdict(&grant.id).await.verdict, Verdict::Complete);
}

async fn where_a_leak_is_suspected_nobody_who_beats_gets_the_new_certificate(bench: Bench) {
    let site = Site::new(&bench, -DAY, 3 * DAY).await;
    let mut agent = site.agent(&bench);
    agent.turn().await.unwrap();
    let old = agent.serial().to_owned();
    // Also while an order is open: whoever has the key could take it up.
    let plain = Ask::default();
    bench.rotate_certificate(&owner(&bench).await, &plain).await.unwrap();
    let nonce = nonce(&bench, &old).await;
    let leak = Ask { suspected_leak: true, ..Ask::default() };
    let rotated = bench.rotate_certificate(&owner(&bench).await, &leak).await.unwrap();
    let Some(Certified::Bundle { old_serial, .. }) = rotated.certified else { panic!() };
    assert_eq!(old_serial, Some(old.clone()));
    assert_eq!(bench.certificate(&old).await.reason.as_deref(), Some("key_compromise"));
    assert_eq!(bench.versions(DUNE).await[0].state, VersionState::Live);
    assert!(bench.desk.reenrol(&old, Some(&nonce), &plain_request()).await.is_err());
    assert!(agent.turn().await.is_err());
}

async fn a_gateway_that_was_down_comes_back_with_the_handed_over_bundle(bench: Bench) {
    let site = Site::new(&bench, -90 * DAY, -20 * time::HOUR).await;
    let mut agent = site.agent(&bench);
    let refused = agent.turn().await;
    assert!(matches!(refused, Err(AgentError::Refused(why)) if why.contains("expired")));
    assert_eq!(status(&site).state, State::Refused);
    let old = agent.serial().to_owned();
    assert!(s_client(&site, "identity.pem").await.contains("certificate expired"));

    let (ada, grant, rotated) = bench.rotate_gateway().await;
    let Some(Certified::Bundle { old_serial, serial }) = rotated.certified else { panic!() };
    assert_eq!(old_serial, Some(old.clone()));
    assert!(rotated.value.is_none(), "under an impersonation nobody sees the bundle");
    assert_eq!(bench.versions(DUNE).await[0].state, VersionState::Live);
    bench.hand_off(&ada, &grant.id).await.unwrap();
    assert_eq!(bench.verdict(&grant.id).await.verdict, Verdict::Complete);
    for (table, column) in
        [("handoff", "message"), ("gateway_certificate", "pem"), ("secret_version", "reference")]
    {
        let sql = format!("SELECT COUNT(*) FROM {table} WHERE {column} LIKE '%PRIVATE KEY%'");
        assert_eq!(bench.number(&sql).await, 0, "{table}.{column}");
    }

    bench.desk.send_due().await.unwrap();
    let mail = bench.mailbox.about("NOV-4804] Your gateway");
    let platform = &bench.desk.keys.openpgp;
    let (text, said) = decrypt(
        &owners().modern,
        &platform.to_armored_public().unwrap(),
        mail.body.expose_secret(),
    );
    assert!(said.contains(&format!("VALIDSIG {}", platform.fingerprint())), "{said}");
    let folder = Folder::at(site.folder.path()).unwrap();
    let installed = install(&folder, &SecretString::from(text)).unwrap();
    assert_eq!(installed.serial, serial);

    let mut agent = site.agent(&bench);
    agent.turn().await.unwrap();
    assert_eq!(agent.serial(), serial);
    assert_eq!(bench.certificate(&old).await.reason.as_deref(), Some("superseded"));
    let row = bench.rows_of("dune", "mtls_certificate.connected").await.remove(0);
    assert_eq!(row.detail_str("after_impersonation"), Some(grant.id.as_str()));
    let mut conn = bench.desk.store.read().await.unwrap();
    let secret = secrets::by_id(&mut conn, DUNE).await.unwrap().unwrap();
    let seen = bench.desk.gateway(&mut conn, &secret).await.unwrap().unwrap();
    assert_eq!(seen.standing, Standing::Online);
    drop(conn);
    agent.turn().await.unwrap();
    assert_eq!(bench.rows_of("dune", "mtls_certificate.connected").await.len(), 1);
    bench.verify_all().await.unwrap();
}

async fn of_two_rotations_at_once_one_is_made(bench: Bench) {
    plant(&bench, -DAY, 3 * DAY).await;
    let serial = bench.certificates().await[0].serial.clone();
    bench.desk.heartbeat(&serial, "test").await.unwrap();
    let (caller, ask) = (owner(&bench).await, Ask::default());
    let (one, other) = tokio::join!(
        bench.rotate_certificate(&caller, &ask),
        bench.rotate_certificate(&caller, &ask)
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let conflict = one.err().or(other.err()).unwrap();
    assert!(matches!(conflict, StepError::Conflict(_)), "{conflict}");
    assert_eq!(bench.versions(DUNE).await.len(), 2);
}

async fn where_the_deadline_passes_the_old_certificate_goes_on(bench: Bench) {
    let site = Site::new(&bench, -DAY, 3 * DAY).await;
    let mut agent = site.agent(&bench);
    agent.turn().await.unwrap();
    let old = agent.serial().to_owned();
    bench.rotate_gateway().await;
    let nonce = nonce(&bench, &old).await;
    let issued = bench.desk.reenrol(&old, Some(&nonce), &plain_request()).await.unwrap();

    bench.clock.advance(TIME_TO_REENROL);
    let late = bench.desk.reenrol(&old, Some(&nonce), &plain_request()).await;
    assert!(matches!(late, Err(StepError::Forbidden(_))));
    bench.desk.sweep().await.unwrap();
    bench.desk.sweep().await.unwrap();
    let versions = bench.versions(DUNE).await;
    assert_eq!(versions[0].state, VersionState::Failed);
    assert_eq!(versions[1].state, VersionState::Live);
    let rows = bench.rows_of("dune", "mtls_certificate.rotation_failed").await;
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].outcome, rows[0].actor_type), (Outcome::Failed, ActorType::System));
    assert_eq!(bench.certificate(&issued.serial).await.reason.as_deref(), Some("never_used"));
    assert!(bench.desk.heartbeat(&issued.serial, "test").await.is_err());
    agent.turn().await.unwrap();
    assert_eq!(agent.serial(), old);
    let mut conn = bench.desk.store.read().await.unwrap();
    let secret = secrets::by_id(&mut conn, DUNE).await.unwrap().unwrap();
    assert!(bench.desk.gateway(&mut conn, &secret).await.unwrap().unwrap().failed);
    drop(conn);

    // And it can be asked for again.
    let again = bench.rotate_certificate(&owner(&bench).await, &Ask::default()).await.unwrap();
    assert_eq!((again.rotation.from_version, again.rotation.to_version), (1, 3));
    agent.turn().await.unwrap();
    assert_ne!(agent.serial(), old);
}

async fn a_key_that_was_certified_before_is_refused(bench: Bench) {
    let bundle = Bundle::read(&plant(&bench, -DAY, 3 * DAY).await).unwrap();
    let old = bundle.serial.clone();
    bench.desk.heartbeat(&old, "test").await.unwrap();
    bench.rotate_gateway().await;
    let same_key = KeyPair::try_from(&bundle.key()).unwrap();
    let nonce_1 = nonce(&bench, &old).await;
    let refused = bench.desk.reenrol(&old, Some(&nonce_1), &request(named(DUNE), &same_key)).await;
    assert!(matches!(refused, Err(StepError::Denied(why)) if why.contains("certified before")));
    let row = bench.rows_of("dune", "mtls_certificate.request_refused").await.remove(0);
    assert_eq!(row.outcome, Outcome::Refused);

    let nonce_2 = nonce(&bench, &old).await;
    let issued = bench.desk.reenrol(&old, Some(&nonce_2), &plain_request()).await.unwrap();
    bench.desk.heartbeat(&issued.serial, "test").await.unwrap();
    // Neither the revoked certificate nor its key gets another one.
    bench.rotate_certificate(&owner(&bench).await, &Ask::default()).await.unwrap();
    let revoked = bench.desk.reenrol(&old, None, &plain_request()).await;
    assert!(matches!(revoked, Err(StepError::Forbidden(why)) if why.contains("revoked")));
    let with_key = bench.desk.reenrol(&issued.serial, None, &request(named(DUNE), &same_key)).await;
    assert!(matches!(with_key, Err(StepError::Denied(_))));
}

async fn nobody_reenrols_without_being_told_or_with_another_nonce(bench: Bench) {
    plant(&bench, -DAY, 3 * DAY).await;
    let serial = bench.certificates().await[0].serial.clone();
    assert!(bench.desk.heartbeat(&serial, "test").await.unwrap().order.is_none());
    let forbidden = async |serial: &str, nonce: Option<&SecretString>| {
        let step = bench.desk.reenrol(serial, nonce, &plain_request()).await;
        assert!(matches!(step, Err(StepError::Forbidden(_))), "{step:?}");
    };
    forbidden(&serial, None).await;
    bench.rotate_gateway().await;
    let wrong = SecretString::from("wrong");
    // Before the beat that tells it there is no nonce at all.
    forbidden(&serial, Some(&wrong)).await;
    let first = nonce(&bench, &serial).await;
    forbidden(&serial, Some(&wrong)).await;
    // A newer beat's nonce counts, an older one's does not.
    let second = nonce(&bench, &serial).await;
    forbidden(&serial, Some(&first)).await;
    // Another's certificate does not help, whatever it holds.
    let other = others_certificate(&bench).await;
    let other = Bundle::read(&other).unwrap().serial;
    forbidden(&other, Some(&second)).await;
    forbidden("00", Some(&second)).await;
    let issued = bench.desk.reenrol(&serial, Some(&second), &plain_request()).await.unwrap();
    // Once.
    forbidden(&serial, Some(&second)).await;
    // And what was issued is not a way to the next one.
    forbidden(&issued.serial, None).await;
}

async fn a_request_for_more_or_for_another_gets_less(bench: Bench) {
    plant(&bench, -DAY, 3 * DAY).await;
    let serial = bench.certificates().await[0].serial.clone();
    bench.desk.heartbeat(&serial, "test").await.unwrap();
    bench.rotate_gateway().await;
    for bad in [&b"nonsense"[..], &request(named("gw_other"), &KeyPair::generate().unwrap())] {
        let nonce = nonce(&bench, &serial).await;
        let step = bench.desk.reenrol(&serial, Some(&nonce), bad).await;
        assert!(matches!(step, Err(StepError::Denied(_))), "{step:?}");
        // Each try costs a beat.
        let again = bench.desk.reenrol(&serial, Some(&nonce), &plain_request()).await;
        assert!(matches!(again, Err(StepError::Forbidden(_))));
    }
    assert_eq!(bench.rows_of("dune", "mtls_certificate.request_refused").await.len(), 2);

    let mut greedy = named(DUNE);
    greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    greedy.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let nonce = nonce(&bench, &serial).await;
    let request = request(greedy, &KeyPair::generate().unwrap());
    let issued = bench.desk.reenrol(&serial, Some(&nonce), &request).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("leaf.pem"), &issued.pem).unwrap();
    std::fs::write(folder.path().join("ca.pem"), &issued.authorities).unwrap();
    let text = must(folder.path(), &["x509", "-in", "leaf.pem", "-noout", "-text"]);
    assert!(text.contains("CA:FALSE") && !text.contains("Certificate Sign"), "{text}");
    let at = (bench.now() / time::SECOND).to_string();
    must(
        folder.path(),
        &["verify", "-attime", &at, "-purpose", "sslclient", "-CAfile", "ca.pem", "leaf.pem"],
    );
}

async fn an_answer_that_was_lost_is_made_good_and_its_certificate_revoked(bench: Bench) {
    let site = Site::new(&bench, -DAY, 3 * DAY).await;
    let mut agent = site.agent(&bench);
    agent.turn().await.unwrap();
    let old = agent.serial().to_owned();
    bench.rotate_gateway().await;
    let nonce = nonce(&bench, &old).await;
    let lost = bench.desk.reenrol(&old, Some(&nonce), &plain_request()).await.unwrap();
    agent.turn().await.unwrap();
    assert!(![&old, &lost.serial].contains(&&agent.serial().to_owned()));
    assert_eq!(bench.certificate(&lost.serial).await.reason.as_deref(), Some("never_used"));
    assert_eq!(bench.certificate(&old).await.reason.as_deref(), Some("superseded"));
}

async fn the_customer_itself_gets_the_bundle_once_and_nothing_where_the_gateway_is_online(
    bench: Bench,
) {
    plant(&bench, -DAY, 3 * DAY).await;
    let serial = bench.certificates().await[0].serial.clone();
    let operator = Caller::Member(Box::new(bench.member("dune-operator").await));
    let refused = bench.rotate_certificate(&operator, &Ask::default()).await;
    assert!(matches!(refused, Err(StepError::Forbidden(_))));
    let with_overlap = Ask { overlap_seconds: Some(60), ..Ask::default() };
    let refused = bench.rotate_certificate(&owner(&bench).await, &with_overlap).await;
    assert!(matches!(refused, Err(StepError::Invalid(_))));

    // It beat a day ago: it is down, and its certificate still holds.
    let ask = Ask { idempotency_key: Some("k".to_owned()), ..Ask::default() };
    let caller = owner(&bench).await;
    let first = bench.rotate_certificate(&caller, &ask).await.unwrap();
    let bundle = Bundle::read(first.value.as_ref().unwrap()).unwrap();
    assert_eq!(bundle.gateway_id, DUNE);
    let again = bench.rotate_certificate(&caller, &ask).await.unwrap();
    assert!(again.replayed && again.value.is_none());
    // Until the new one is seen the old one works.
    bench.desk.heartbeat(&serial, "test").await.unwrap();
    bench.desk.heartbeat(&bundle.serial, "test").await.unwrap();
    assert!(bench.desk.heartbeat(&serial, "test").await.is_err());

    let online = bench.rotate_certificate(&caller, &Ask::default()).await.unwrap();
    assert!(online.value.is_none());
    assert!(matches!(online.certified, Some(Certified::Reenrol { .. })));
}

async fn est_answers_on_the_same_listener(bench: Bench) {
    let site = Site::new(&bench, -DAY, 3 * DAY).await;
    let mut agent = site.agent(&bench);
    agent.turn().await.unwrap();
    let folder = site.folder.path();
    let bundle = Folder::at(folder).unwrap().identity().unwrap();
    let http = reqwest::Client::builder()
        .use_preconfigured_tls(tls::gateway(&bundle, bench.clock.clone()).unwrap())
        .build()
        .unwrap();
    let certificates = async |response: reqwest::Response| {
        assert_eq!(response.status(), 200);
        assert!(response.headers()["content-type"].to_str().unwrap().contains("certs-only"));
        let body = response.text().await.unwrap();
        std::fs::write(
            folder.join("p7"),
            format!("-----BEGIN PKCS7-----\n{body}\n-----END PKCS7-----\n"),
        )
        .unwrap();
        must(folder, &["pkcs7", "-in", "p7", "-print_certs"])
    };
    let url = format!("{}{}", site.address, wire::EST_CACERTS);
    let text = certificates(http.get(url).send().await.unwrap()).await;
    assert!(text.contains("Keyturn gateway authority"), "{text}");

    let key = KeyPair::generate().unwrap();
    let der = named(DUNE).serialize_request(&key).unwrap().der().to_vec();
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let post = async |kind: &str| {
        let url = format!("{}{}", site.address, wire::EST_REENROL);
        http.post(url).header("content-type", kind).body(body.clone()).send().await.unwrap()
    };
    assert_eq!(post("application/pkcs10").await.status(), 403, "it was not told to");
    bench.rotate_gateway().await;
    assert_eq!(post("text/plain").await.status(), 400);
    let text = certificates(post("application/pkcs10").await).await;
    assert!(text.contains(DUNE), "{text}");
    let issued = bench.certificates().await[0].clone();
    assert_eq!(issued.version, 2);
    assert_eq!(post("application/pkcs10").await.status(), 422, "the key is known by now");
}

async fn an_operators_authority_takes_over_without_a_gateway_noticing(bench: Bench) {
    let site = Site::new(&bench, -DAY, 3 * DAY).await;
    let mut agent = site.agent(&bench);
    agent.turn().await.unwrap();
    let own = crate::secrets::certificates::Authority::create(
        "operator",
        bench.now(),
        &mut bench.desk.rng.generator(),
    )
    .unwrap();
    let mut tx = bench.desk.begin().await.unwrap();
    bench.desk.import_authority(&mut tx, &own.chain_pem(), &own.key_pem()).await.unwrap();
    tx.commit().await.unwrap();
    bench.desk.lists_changed.notify_one();
    assert_eq!(bench.rows_of("platform", "platform.certificate_authority_imported").await.len(), 1);

    let trusted = bench.number("SELECT COUNT(*) FROM certificate_authority").await;
    assert_eq!(trusted, 2);
    agent.turn().await.unwrap();
    let old = agent.serial().to_owned();
    bench.rotate_gateway().await;
    // The agent beats with the new certificate at once; the listener may need a moment to trust
    // its authority, and until then the agent goes on with the old one.
    for _ in 0..100 {
        if agent.turn().await.is_ok() && agent.serial() != old {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_ne!(agent.serial(), old);
    // The old authority has no certificate left: the listener shows one of the new one.
    for _ in 0..4 {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        agent.turn().await.unwrap();
    }
    let folder = site.folder.path();
    std::fs::write(folder.join("own.pem"), own.chain_pem()).unwrap();
    let at = (bench.now() / time::SECOND).to_string();
    must(folder, &["verify", "-attime", &at, "-CAfile", "own.pem", "identity.pem"]);
}

async fn a_new_identity_that_does_not_connect_is_rolled_back(bench: Bench) {
    let site = Site::new(&bench, -DAY, 3 * DAY).await;
    let mut agent = site.agent(&bench);
    agent.turn().await.unwrap();
    let good = agent.serial().to_owned();
    let folder = Folder::at(site.folder.path()).unwrap();
    // Certified by somebody whom the server does not know.
    let elsewhere = crate::secrets::certificates::Authority::create(
        "elsewhere",
        bench.now(),
        &mut bench.desk.rng.generator(),
    )
    .unwrap();
    let key = KeyPair::generate().unwrap();
    let now = bench.now();
    let leaf =
        elsewhere.issue(DUNE, &key, now, now + DAY, &mut bench.desk.rng.generator()).unwrap();
    let mut tx = bench.desk.begin().await.unwrap();
    let trusted = bench.desk.authorities_pem(tx.conn()).await.unwrap();
    tx.rollback().await.unwrap();
    let bundle = Bundle::write(&key.serialize_pem().into(), &leaf.pem, &trusted);
    install(&folder, &bundle).unwrap();
    let mut agent = agent_in(&bench, site.folder.path(), &site.address);
    assert_eq!(agent.serial(), leaf.serial);
    agent.turn().await.unwrap();
    assert_eq!(agent.serial(), good);
    assert_eq!(folder.identity().unwrap().serial, good);
    assert!(folder.previous().unwrap().is_none());
}

async fn a_revoked_certificate_is_cut_off_on_a_live_connection(bench: Bench) {
    let site = Site::new(&bench, -DAY, 3 * DAY).await;
    let bundle = Folder::at(site.folder.path()).unwrap().identity().unwrap();
    let http = reqwest::Client::builder()
        .use_preconfigured_tls(tls::gateway(&bundle, bench.clock.clone()).unwrap())
        .build()
        .unwrap();
    let beat = async || {
        let url = format!("{}{}", site.address, wire::HEARTBEAT);
        http.post(url).body("{}").send().await.unwrap()
    };
    assert_eq!(beat().await.status(), 200);
    // Behind the listener's back, as another instance would: only the handler can see it.
    let sql = format!(
        "UPDATE gateway_certificate SET revoked_at = 1, reason = 'key_compromise' WHERE serial = '{}'",
        bundle.serial
    );
    bench.sql(&sql).await.unwrap();
    let refused = beat().await;
    assert_eq!(refused.status(), 403);
    assert_eq!(refused.headers()["connection"], "close");
    assert!(refused.text().await.unwrap().contains("revoked"));
}

/// The bundle of another gateway.
async fn others_certificate(bench: &Bench) -> SecretString {
    bench
        .sql("UPDATE secret SET secret_type = 'mtls_certificate' WHERE id = 'whk_elm'")
        .await
        .unwrap();
    let mut tx = bench.desk.begin().await.unwrap();
    let other = secrets::by_id(tx.conn(), "whk_elm").await.unwrap().unwrap();
    let validity = crate::secrets::certificates::Validity {
        not_before: bench.now() - DAY,
        not_after: bench.now() + DAY,
    };
    let bundle = bench.desk.plant_certificate(&mut tx, &other, validity, None).await.unwrap();
    tx.commit().await.unwrap();
    bundle
}

async fn an_agent_installs_only_its_own_bundle(bench: Bench) {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new(&bench, -DAY, 3 * DAY).await;
    let folder = Folder::at(site.folder.path()).unwrap();
    let other = others_certificate(&bench).await;
    assert!(matches!(install(&folder, &other), Err(AgentError::OtherGateway { .. })));
    assert!(matches!(install(&folder, &"nonsense".into()), Err(AgentError::Bundle(_))));
    let mut agent = site.agent(&bench);
    agent.turn().await.unwrap();
    for entry in std::fs::read_dir(site.folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        assert!(!entry.file_name().to_string_lossy().ends_with(".new"), "{entry:?}");
    }
    assert!(serial_of(bundle_der(&folder).as_slice()).is_some());
    let text = String::from_utf8(folder.read_status().unwrap()).unwrap();
    assert!(!text.contains("PRIVATE"), "{text}");
}

fn bundle_der(folder: &Folder) -> Vec<u8> {
    folder.identity().unwrap().certificate().to_vec()
}
