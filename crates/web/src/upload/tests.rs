use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::MetadataExt as _;

use axum::body::Body;
use http::StatusCode;

use super::*;

fn whole(mut file: File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

const KIND: &str = "multipart/form-data; boundary=X";

fn part(disposition: &str, content: &str) -> String {
    format!("--X\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n")
}

async fn receive(kind: &str, body: String, limit: u64) -> Result<Upload, ApiError> {
    let request = Request::builder().method("POST").header("content-type", kind).body(Body::from(body)).unwrap();
    Upload::receive(request, "dify_pkg", UploadLimit { bytes: limit, variable: "LARGEST" }).await
}

fn form(parts: &[String]) -> String {
    parts.concat() + "--X--\r\n"
}

fn file(content: &str) -> String {
    part(r#"name="dify_pkg"; filename="dify_pkg""#, content)
}

#[tokio::test]
async fn a_file_and_its_fields_arrive() {
    let parts =
        [part(r#"name="verify_signature""#, "true"), file("PK content"), part(r#"name="verify_signature""#, "no")];
    let upload = receive(KIND, form(&parts), 10).await.unwrap();
    assert_eq!(upload.fields.get("verify_signature").map(String::as_str), Some("true"));
    assert_eq!(upload.file.metadata().unwrap().nlink(), 0, "it needs no clean-up");
    assert_eq!((&whole(upload.file).unwrap()[..], upload.size), (&b"PK content"[..], 10));
}

#[tokio::test]
async fn what_is_no_upload_is_refused_in_the_texts_that_clients_know() {
    for (kind, body, limit, expected) in [
        ("application/json", "{}".to_owned(), 9, "request Content-Type isn't multipart/form-data"),
        (KIND, form(&[part(r#"name="other"; filename="x""#, "x")]), 9, "http: no such file"),
        (KIND, form(&[part(r#"name="dify_pkg""#, "no file")]), 9, "http: no such file"),
        (KIND, form(&[]), 9, "http: no such file"),
        (KIND, form(&[file("0123456789")]), 9, "file size exceeds the maximum limit of 9 bytes (LARGEST)"),
        (KIND, form(&vec![part(r#"name="a""#, ""); PARTS + 1]), 9, "the form has more than 64 parts"),
        (
            KIND,
            form(&[part(r#"name="a""#, &"x".repeat(FIELD_BYTES + 1))]),
            9,
            "the fields of the form have more than 1048576 bytes",
        ),
    ] {
        let error = receive(kind, body, limit).await.unwrap_err();
        assert_eq!((error.message(), error.status()), (expected, StatusCode::BAD_REQUEST));
    }
    let cut = format!("{}cut", file("0123"));
    let error = receive(KIND, cut, 9).await.unwrap_err();
    assert!(error.message().starts_with("failed to read the form: "), "{error}");
}
