//! Mutual TLS on the link.

use crate::scripted::{ENOUGH, Region, SECRET, login, start_with, submission, until};
use meridian_link::{Core, Cores, Patience, Tls, TlsFiles, peer::Secret};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{sync::watch, time::timeout};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate of an authority, in files of their own.
fn files(folder: &Path, name: &str, trusts: &Authority, issuer: &Authority) -> TlsFiles {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let file = |part: &str| folder.join(format!("{name}.{part}"));
    std::fs::write(file("ca"), trusts.pem()).unwrap();
    std::fs::write(file("crt"), certificate.pem()).unwrap();
    std::fs::write(file("key"), key.serialize_pem()).unwrap();
    TlsFiles {
        authority: file("ca"),
        certificate: file("crt"),
        key: file("key"),
        name: "meridian-core".into(),
    }
}

fn edge(address: &str, tls: Tls) -> Cores {
    let (_, list) = watch::channel(vec![address.to_owned()]);
    let patience = Patience { ping: Duration::from_millis(20), ..Patience::default() };
    Cores::connect(list, Secret::new(SECRET), tls, patience)
}

#[tokio::test]
async fn both_ends_show_certificates_of_the_authority() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (authority(), authority());
    let region = Arc::<Region>::default();
    let load = |files| Tls::load(files).unwrap().0;
    let at_core = load(files(folder.path(), "meridian-core", &ours, &ours));
    let core = start_with(&region, at_core).await;
    let address = core.address.to_string();

    let welcome = edge(&address, load(files(folder.path(), "edge", &ours, &ours)));
    until("the edge is let in", || welcome.is_ready()).await;
    let alice = welcome.attach(login("alice")).await.unwrap();
    timeout(ENOUGH, alice.session.send(submission(1))).await.unwrap().unwrap().unwrap();

    let strangers = [
        ("without a certificate", edge(&address, Tls::none())),
        ("of another authority", edge(&address, load(files(folder.path(), "stranger", &ours, &theirs)))),
        ("trusts another authority", edge(&address, load(files(folder.path(), "doubter", &theirs, &ours)))),
    ];
    let other = start_with(&region, load(files(folder.path(), "not-a-core", &ours, &ours))).await;
    let misled = edge(&other.address.to_string(), load(files(folder.path(), "edge-2", &ours, &ours)));
    // Each has tried when one that is right is in.
    let also = edge(&address, load(files(folder.path(), "edge-3", &ours, &ours)));
    until("another edge is let in", || also.is_ready()).await;
    for (why, stranger) in &strangers {
        assert!(!stranger.is_ready(), "{why}");
    }
    assert!(!misled.is_ready(), "a core of another name");
}

#[tokio::test]
async fn new_certificates_are_taken_in_and_bad_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (authority(), authority());
    let region = Arc::<Region>::default();
    let (at_core, keeping) = Tls::load(files(folder.path(), "meridian-core", &old, &old)).unwrap();
    let keeping = tokio::spawn(keeping);
    let core = start_with(&region, at_core).await;
    std::fs::write(folder.path().join("meridian-core.key"), "no key").unwrap();
    let (of_old, _) = Tls::load(files(folder.path(), "edge", &old, &old)).unwrap();
    let of_old = edge(&core.address.to_string(), of_old);
    until("the old certificate stays", || of_old.is_ready()).await;
    files(folder.path(), "meridian-core", &new, &new);
    let (of_new, _) = Tls::load(files(folder.path(), "edge-2", &new, &new)).unwrap();
    let of_new = edge(&core.address.to_string(), of_new);
    until("the new certificate counts", || of_new.is_ready()).await;
    assert!(of_old.is_ready(), "open connections go on");
    keeping.abort();
}
