//! The connection to a catalog in PostgreSQL: what `sslmode` and `sslrootcert` ask for is done.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tarn_tests::harness::connect_pg_url;

use super::*;

/// Only encrypted connections are let in.
const ENCRYPTED_ONLY: &str = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::new(vec![])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

/// What opening the catalog and making a view in it ends with.
async fn opened(url: &str) -> Result<(), String> {
    let data_dir = tempfile::tempdir().map_err(|error| error.to_string())?;
    let server = start(data_dir.path(), Some(url)).await.map_err(|error| format!("{error:#}"))?;
    let used = async {
        let client = server.connect().await?;
        client.batch_execute("CREATE OR REPLACE VIEW v AS SELECT 1 AS a").await?;
        ensure!(text(&client, "SELECT a FROM v").await? == "1");
        Ok(())
    };
    let used = used.await.map_err(|error: anyhow::Error| format!("{error:#}"));
    server.stop().await;
    used
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_to_postgresql_is_encrypted_and_checked() -> Result<()> {
    let (signer, stranger) = (authority("an authority")?, authority("another authority")?);
    let key = KeyPair::generate()?;
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &signer)?;
    let files = [
        ("server.crt", certificate.pem()),
        ("server.key", key.serialize_pem()),
        ("pg_hba.conf", ENCRYPTED_ONLY.to_owned()),
    ];
    let Some(postgres) = PostgresProcess::start_with(&files, &["ssl=on"])? else {
        require_or_skip("PostgreSQL is not installed");
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("root.crt");
    std::fs::write(&root, signer.pem())?;
    let other = folder.path().join("other.crt");
    std::fs::write(&other, stranger.pem())?;
    let (root, other) = (root.display(), other.display());
    let url = |host: &str, options: &str| {
        format!("postgres://tarn@{host}:{}/postgres?{options}", postgres.addr.port())
    };
    for (host, options) in [
        ("127.0.0.1", "sslmode=prefer".to_owned()),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={root}")),
        ("localhost", format!("sslmode=verify-full&sslrootcert={root}")),
    ] {
        let done = opened(&url(host, &options)).await;
        ensure!(done.is_ok(), "{host} {options}: {done:?}");
    }
    for (host, options, reason) in [
        // The server does not let it in, so the others were encrypted.
        ("127.0.0.1", "sslmode=disable".to_owned(), "pg_hba.conf"),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={root}"), "certificate"),
        ("localhost", format!("sslmode=verify-full&sslrootcert={other}"), "certificate"),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={other}"), "certificate"),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={other}"), "certificate"),
        ("127.0.0.1", "sslmode=verify-full".to_owned(), "sslrootcert"),
        (
            "127.0.0.1",
            "sslmode=verify-ca&sslrootcert=/nowhere/root.crt".to_owned(),
            "/nowhere/root.crt",
        ),
    ] {
        let refused = opened(&url(host, &options)).await.err();
        let refused = refused.with_context(|| format!("{host} {options} is accepted"))?;
        ensure!(refused.contains(reason), "{host} {options}: {refused}");
    }
    ensure!(connect_pg_url(&postgres.url()).await.is_err(), "the server takes plain connections");
    Ok(())
}
