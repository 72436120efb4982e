use bytes::Bytes;

use super::*;
use crate::package::Package;
use crate::testing::{self, PLUGIN, key_pair, new_key_pair, plugin_with};
use crate::zip::{ArchiveWriter, Limits};

const TIME: i64 = 1_700_000_000;

fn trusted() -> TrustedKeys {
    TrustedKeys::only("mine.pem", key_pair().public.as_bytes()).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_pem("mine", key_pair().private.as_bytes()).unwrap()
}

fn open(bytes: impl Into<Bytes>) -> Package {
    Package::open(bytes.into(), &Limits::default()).unwrap()
}

fn signed(category: &str) -> Package {
    open(testing::package(&PLUGIN).sign(&key(), category, TIME).unwrap())
}

/// The files of a package in their order.
fn files(package: &Package) -> Vec<(String, Vec<u8>)> {
    let archive = package.archive();
    archive.entries().iter().map(|entry| (entry.name().to_owned(), archive.content(entry).unwrap())).collect()
}

fn pack(files: &[(String, Vec<u8>)], comment: &[u8]) -> Package {
    let mut writer = ArchiveWriter::new();
    for (name, content) in files {
        writer.add(name, content).unwrap();
    }
    open(writer.finish(comment).unwrap())
}

/// Signs files as the reference does: without the names, and with no more than the given record.
fn sign_as_reference(files: &[(String, Vec<u8>)]) -> Package {
    let digests: Vec<ContentDigest> = files.iter().map(|(_, content)| Sha256::digest(content).into()).collect();
    let key = key();
    let mut signature = vec![0; key.pair().public_modulus_len()];
    let random = aws_lc_rs::rand::SystemRandom::new();
    let scheme = &aws_lc_rs::signature::RSA_PKCS1_SHA256;
    key.pair().sign(scheme, &random, &message(&digests, TIME), &mut signature).unwrap();
    let comment = Comment { signature: BASE64.encode(signature), time: TIME };
    pack(files, &serde_json::to_vec(&comment).unwrap())
}

fn plain() -> Vec<(String, Vec<u8>)> {
    PLUGIN.iter().map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec())).collect()
}

fn record(category: &str) -> (String, Vec<u8>) {
    (RECORD.to_owned(), format!("{{\"authorized_category\":\"{category}\"}}").into_bytes())
}

fn refusal(package: &Package) -> SignatureError {
    package.verification(&trusted()).unwrap_err()
}

#[test]
fn the_vector_of_the_specification() {
    let message = message(&[Sha256::digest("x").into(), Sha256::digest("y").into()], TIME);
    assert_eq!(message.len(), 74);
    assert_eq!(
        hex::encode(Sha256::digest(message)),
        "a7b0ba26c2ad9cee6c0cf7e9c817fd3d856645d3e2e220f44b67c3e0c07ecac9"
    );
}

#[test]
fn packages_that_the_reference_signed() {
    let keys = TrustedKeys::only("theirs", include_bytes!("../../tests/signed/public.pem")).unwrap();
    for (bytes, category) in [
        (&include_bytes!("../../tests/signed/langgenius.signed.difypkg")[..], "langgenius"),
        (include_bytes!("../../tests/signed/partner.signed.difypkg"), "partner"),
        (include_bytes!("../../tests/signed/none.signed.difypkg"), ""),
    ] {
        let package = open(bytes.to_vec());
        let verification = package.verification(&keys).unwrap().unwrap();
        assert_eq!(verification.authorized_category, category);
        assert_eq!(verification.signer, Signer::ThirdParty("theirs".to_owned()));
        assert!(package.declaration(&keys).unwrap().verified);
        assert!(!package.declaration(&TrustedKeys::official()).unwrap().verified);
        assert!(matches!(package.verification(&TrustedKeys::official()), Err(SignatureError::Untrusted)));
    }
}

#[test]
fn what_is_signed_verifies() {
    for category in ["langgenius", "partner", "community", ""] {
        let package = signed(category);
        let verification = package.verification(&trusted()).unwrap().unwrap();
        let expected = Verification {
            authorized_category: category.to_owned(),
            signer: Signer::ThirdParty("mine.pem".to_owned()),
            signed_at: TIME,
            names: Names::Signed,
        };
        assert_eq!(verification, expected);
        assert_eq!(
            serde_json::to_string(&verification).unwrap(),
            format!("{{\"authorized_category\":\"{category}\"}}")
        );
        let names: Vec<String> = files(&package).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.last().unwrap(), RECORD);
        assert_eq!(names[..PLUGIN.len()], PLUGIN.map(|(name, _)| name));
    }
}

#[test]
fn unsigned_packages() {
    let package = testing::package(&PLUGIN);
    assert_eq!(package.verification(&trusted()).unwrap(), None);
    assert!(!package.declaration(&trusted()).unwrap().verified);
}

#[test]
fn early_packages_without_a_record() {
    let verification = sign_as_reference(&plain()).verification(&trusted()).unwrap().unwrap();
    assert_eq!((&*verification.authorized_category, verification.names), ("langgenius", Names::Ordered));
    let mut shuffled = plain();
    shuffled.swap(0, 2);
    let verification = sign_as_reference(&shuffled).verification(&trusted()).unwrap().unwrap();
    assert_eq!(verification.names, Names::Unknown);
}

#[test]
fn another_key() {
    let other = TrustedKeys::only("other", new_key_pair().public.as_bytes()).unwrap();
    assert!(matches!(signed("partner").verification(&other), Err(SignatureError::Untrusted)));
}

#[test]
fn changed_packages() {
    let package = signed("community");
    let (original, comment) = (files(&package), package.archive().comment().to_vec());
    let mut content = original.clone();
    content[0].1.push(b'!');
    let mut added = original.clone();
    added.insert(1, ("extra.py".to_owned(), b"evil".to_vec()));
    let mut removed = original.clone();
    removed.remove(0);
    let mut promoted = original.clone();
    *promoted.last_mut().unwrap() = record("langgenius");
    let mut swapped = original.clone();
    swapped.swap(0, 1);
    for changed in [content, added, removed, promoted, swapped] {
        assert!(matches!(refusal(&pack(&changed, &comment)), SignatureError::Untrusted));
    }
    let time = String::from_utf8(comment).unwrap().replace("1700000000", "1700000001");
    assert!(matches!(refusal(&pack(&original, time.as_bytes())), SignatureError::Untrusted));
}

#[test]
fn comments_that_are_no_signature() {
    for comment in
        ["{}", "nonsense", "{\"time\": 1}", "{\"signature\":\"!\",\"time\":1}", "{\"signature\":\"\",\"time\":1} x"]
    {
        assert!(matches!(refusal(&pack(&plain(), comment.as_bytes())), SignatureError::Comment(_)), "{comment}");
    }
    assert!(matches!(refusal(&pack(&plain(), b"{\"signature\":\"AAAA\",\"time\":1}")), SignatureError::Untrusted));
}

#[test]
fn renamed_files() {
    let package = signed("community");
    let comment = package.archive().comment().to_vec();
    let mut renamed = files(&package);
    renamed[0].0 = "another.md".to_owned();
    assert!(matches!(refusal(&pack(&renamed, &comment)), SignatureError::NamesChanged));
    let mut exchanged = files(&package);
    let (first, second) = (exchanged[0].0.clone(), exchanged[1].0.clone());
    (exchanged[0].0, exchanged[1].0) = (second, first);
    assert!(matches!(refusal(&pack(&exchanged, &comment)), SignatureError::NamesChanged));
}

#[test]
fn a_renamed_record() {
    for package in [signed("community"), sign_as_reference(&[plain(), vec![record("community")]].concat())] {
        let mut renamed = files(&package);
        renamed.last_mut().unwrap().0 = "notes.json".to_owned();
        let renamed = pack(&renamed, package.archive().comment());
        assert!(matches!(refusal(&renamed), SignatureError::RecordMoved));
    }
}

#[test]
fn a_file_renamed_to_be_the_record() {
    let files = [vec![record("langgenius")], plain(), vec![record("community")]].concat();
    let mut with_another_name = files.clone();
    with_another_name[0].0 = "data.json".to_owned();
    let genuine = sign_as_reference(&with_another_name);
    assert_eq!(genuine.verification(&trusted()).unwrap().unwrap().authorized_category, "community");
    let comment = genuine.archive().comment();
    // Two records read as the first, so the contents no longer fit the signature.
    assert!(matches!(refusal(&pack(&files, comment)), SignatureError::Untrusted));
    let mut moved = files;
    moved.last_mut().unwrap().0 = "other.json".to_owned();
    assert!(matches!(refusal(&pack(&moved, comment)), SignatureError::RecordMoved));
}

#[test]
fn several_entries_of_a_name() {
    let mut files = plain();
    files[1] = files[0].clone();
    let error = refusal(&sign_as_reference(&files));
    assert_eq!(error.to_string(), "the signed package has several entries named README.md");
}

#[test]
fn a_package_that_the_reference_signed_again() {
    // It appends a second record; with the same category both read the same.
    let twice = sign_as_reference(&[plain(), vec![record("langgenius"), record("langgenius")]].concat());
    assert_eq!(twice.verification(&trusted()).unwrap().unwrap().authorized_category, "langgenius");
    // Our own signature after that leaves one.
    let once = open(twice.sign(&key(), "partner", TIME).unwrap());
    assert_eq!(files(&once).iter().filter(|(name, _)| name == RECORD).count(), 1);
    assert_eq!(once.verification(&trusted()).unwrap().unwrap().authorized_category, "partner");
}

#[test]
fn records_that_are_none() {
    for (content, expected) in [
        ("{}", Some("")),
        ("{\"other\":1}", Some("")),
        ("nonsense", None),
        ("[]", None),
        ("{\"authorized_category\":1}", None),
    ] {
        let files = [plain(), vec![(RECORD.to_owned(), content.as_bytes().to_vec())]].concat();
        let found = sign_as_reference(&files).verification(&trusted());
        match expected {
            Some(category) => assert_eq!(found.unwrap().unwrap().authorized_category, category),
            None => assert!(matches!(found, Err(SignatureError::Record(_))), "{content}"),
        }
    }
}

#[test]
fn files_that_only_look_like_a_record() {
    for content in ["[\"langgenius\"]", "{\"authorized\":\"langgenius\"}", "{\"authorized_category\":null}"] {
        let files = [plain(), vec![("z.json".to_owned(), content.as_bytes().to_vec())]].concat();
        assert!(sign_as_reference(&files).verification(&trusted()).is_ok(), "{content}");
    }
}

#[test]
fn signing_does_not_touch_the_contents() {
    let package = testing::package(&plugin_with(&[("data.bin", Some("\u{0}\u{1}"))]));
    let signed = open(package.sign(&key(), "partner", TIME).unwrap());
    let mut contents = files(&signed);
    contents.pop();
    assert_eq!(contents, files(&package));
    assert_ne!(signed.checksum().unwrap(), package.checksum().unwrap());
}

#[test]
fn orders() {
    for (names, expected) in [
        (&["a", "a.txt", "a/b"][..], true), // bytes
        (&["a/b", "a.txt"], true),          // a walk
        (&["a.txt", "a/b"], true),
        (&["b", "a"], false),
        (&[], true),
    ] {
        assert_eq!(is_packagers_order(names), expected, "{names:?}");
    }
}

#[test]
fn categories() {
    for text in ["langgenius", "Partner", "COMMUNITY", ""] {
        assert_eq!(category(text), Ok(text.to_lowercase()));
    }
    for text in ["nonsense", "lang", "partner,community", " "] {
        let error = category(text).unwrap_err();
        assert!(error.to_string().starts_with("invalid authorized category: "));
    }
}
