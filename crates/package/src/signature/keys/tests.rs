use super::*;
use crate::testing::key_pair;

fn check(text: &str, expected: Result<usize, &str>) {
    let found = TrustedKeys::only("key.pem", text.as_bytes());
    match (found, expected) {
        (Ok(keys), Ok(count)) => assert_eq!(keys.keys.len(), count),
        (Err(error), Err(start)) => assert!(error.to_string().starts_with(start), "{error}"),
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

#[test]
fn the_official_key() {
    use sha2::Digest;
    let keys = TrustedKeys::official();
    let [key] = keys.keys.as_slice() else { panic!("{keys:?}") };
    assert_eq!(key.signer, Signer::Official);
    assert_eq!(
        hex::encode(sha2::Sha256::digest(key.key.as_ref())),
        "e274cc2d025b1dbaa8b09b29a1bcff74d9298454f9786a72dc9d00981a674873"
    );
}

#[test]
fn tolerated_texts() {
    let one = key_pair().public.trim();
    check(one, Ok(1));
    check(&format!("{one}\n{OFFICIAL}"), Ok(2));
    check(&format!("a note\n\n{one}\nanother\n"), Ok(1));
    check(&one.replace('\n', "\r\n"), Ok(1));
    check(&one.replace('\n', "\n    "), Ok(1));
    check(&one.replace('\n', "\n\n"), Ok(1));
    check(&one.replace('\n', "\\n"), Ok(1));
}

#[test]
fn refused_texts() {
    let missing = "failed to decode PEM block containing public key: key.pem: ";
    check("", Err(missing));
    check("no key", Err(missing));
    check("-----BEGIN RSA PUBLIC KEY-----\n!!!\n-----END RSA PUBLIC KEY-----\n", Err(missing));
    check(&key_pair().public.replace("END RSA", "END"), Err(missing));
    check(
        &key_pair().public.replace("RSA PUBLIC", "RSA PRIVATE"),
        Err(
            "failed to decode PEM block containing public key: key.pem holds a \"RSA PRIVATE KEY\", not a \"RSA PUBLIC KEY\"",
        ),
    );
    check(
        "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n",
        Err("key.pem does not hold a valid RSA key"),
    );
    let text = String::from_utf8_lossy(include_bytes!("../../../tests/short.public.pem"));
    check(&text, Err("key.pem holds an RSA key of 1024 bits; at least 2048 are needed"));
}

#[test]
fn a_bad_place_stops_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("bad.pem"), "no key").unwrap();
    std::fs::write(path("good.pem"), &key_pair().public).unwrap();
    std::fs::write(path("note.txt"), "no key").unwrap();
    let (keys, errors) =
        TrustedKeys::load([&path("bad.pem"), &format!(" {} ", path("none.pem")), "", &path("good.pem")]);
    let signers: Vec<&Signer> = keys.keys.iter().map(|key| &key.signer).collect();
    assert_eq!(signers, [&Signer::Official, &Signer::ThirdParty(path("good.pem"))]);
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(errors[0].contains("bad.pem") && errors[1].contains("none.pem") && errors.len() == 2, "{errors:?}");

    let (keys, errors) = TrustedKeys::load([folder.path().display().to_string()]);
    assert_eq!((keys.keys.len(), errors.len()), (2, 1), "a folder gives its *.pem files");
    let (keys, errors) = TrustedKeys::load([key_pair().public.replace('\n', "\\n")]);
    assert_eq!((keys.keys.len(), errors.len()), (2, 0), "a text is a key itself");
}

#[test]
fn private_keys() {
    let pkcs1 = &key_pair().private;
    let key = SigningKey::from_pem("a.pem", pkcs1.as_bytes()).unwrap();
    let public = |key: &SigningKey| key.pair().public_key().as_ref().to_vec();
    let pkcs8 = encode(PRIVATE_PKCS8, key.pair().as_der().unwrap().as_ref());
    assert_eq!(public(&SigningKey::from_pem("a.pem", pkcs8.as_bytes()).unwrap()), public(&key));
    for (text, expected) in [
        ("no key", "failed to decode PEM block containing private key: a.pem: "),
        (&key_pair().public, "failed to decode PEM block containing private key: a.pem holds a \"RSA PUBLIC KEY\""),
        (&format!("{pkcs1}{pkcs1}"), "failed to decode PEM block containing private key: a.pem: extra data included"),
        (&pkcs1.replace("MII", "AII"), "a.pem does not hold a valid RSA key"),
    ] {
        let error = SigningKey::from_pem("a.pem", text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_new_pair() {
    let pair = generate_key_pair().unwrap();
    assert!(pair.private.starts_with("-----BEGIN RSA PRIVATE KEY-----\n") && !pair.private.contains('\r'));
    assert!(pair.public.starts_with("-----BEGIN RSA PUBLIC KEY-----\n"));
    let key = SigningKey::from_pem("new", pair.private.as_bytes()).unwrap();
    assert_eq!(key.pair().public_modulus_len(), 512);
    let [public] = &*read_public("new", pair.public.as_bytes()).unwrap() else { panic!("one key") };
    assert_eq!(public.as_ref(), key.pair().public_key().as_ref());
    assert!(!format!("{pair:?}").contains("PRIVATE"));
}
