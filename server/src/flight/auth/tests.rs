use super::*;

fn check(header: &str, expected: Credentials) {
    assert!(Credentials::parse(header) == expected, "{header}");
}

fn basic(user: &str, password: &str) -> Credentials {
    Credentials::Basic { user: user.to_owned(), password: password.to_owned() }
}

#[test]
fn reads_authorization_headers() {
    check("Basic YW5uOnNlY3JldA==", basic("ann", "secret"));
    check("basic YW5uOnNlY3JldA", basic("ann", "secret"));
    check("Basic YW5uOmE6Yg==", basic("ann", "a:b"));
    check("Basic Og==", basic("", ""));
    check("Basic", Credentials::Malformed);
    check("Basic !!", Credentials::Malformed);
    check("Basic YW5u", Credentials::Malformed);
    check("Digest x", Credentials::Malformed);
    check("", Credentials::Malformed);
    check("Bearer AAEC", Credentials::Bearer(vec![0, 1, 2]));
    check("bearer  AAEC ", Credentials::Bearer(vec![0, 1, 2]));
    check("Bearer ???", Credentials::Bearer(vec![]));
}

#[test]
fn keeps_secrets_out_of_logs() {
    assert_eq!(format!("{:?}", basic("ann", "secret")), "Basic");
}

#[test]
fn digests_tell_user_and_password_apart() {
    assert_ne!(digest("ab", "c", "v"), digest("a", "bc", "v"));
    assert_ne!(digest("a", "bc", "v"), digest("a", "bc", "w"));
}
