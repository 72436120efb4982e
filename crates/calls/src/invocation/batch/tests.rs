use super::*;

const DATA: &str = r#"{"provider":"p","texts":["aaaa","b","cc"],"model":"m"}"#;

fn batches(head: usize, room: usize) -> Result<Vec<String>, TooLarge> {
    let split = Split::new(DATA).unwrap();
    let empty = split.data(&[]).len();
    let data = |Batch { texts, bytes }: Batch<'_, '_>| {
        let data = split.data(texts);
        assert_eq!(bytes, head + data.len() - empty);
        data
    };
    Ok(split.batches(head, room)?.into_iter().map(data).collect())
}

#[test]
fn texts_are_cut_where_the_room_ends() {
    let data = |texts: &str| format!(r#"{{"texts":[{texts}],"model":"m","provider":"p"}}"#);
    assert_eq!(batches(10, 100).unwrap(), [data(r#""aaaa","b","cc""#)]);
    assert_eq!(batches(10, 20).unwrap(), [data(r#""aaaa","b""#), data(r#""cc""#)]);
    assert_eq!(batches(10, 19).unwrap(), [data(r#""aaaa""#), data(r#""b","cc""#)]);
    assert_eq!(batches(10, 15), Err(TooLarge { bytes: 16, index: Some(0) }));
    assert_eq!(batches(10, 9), Err(TooLarge { bytes: 10, index: None }));
    assert_eq!(Split::new("{}").unwrap().batches(1, 2).unwrap().len(), 1);
}

fn answer(vectors: &str, price: &str, currency: &str) -> Bytes {
    format!(
        r#"{{"model":"m","embeddings":[{vectors}],"usage":{{"tokens":2,"total_tokens":3,"unit_price":"0.1","price_unit":"0.001","total_price":"{price}","currency":"{currency}","latency":0.5}}}}"#
    )
    .into()
}

#[test]
fn answers_are_added_up() {
    let mut merger = Merger::new(Action::InvokeTextEmbedding);
    merger.add(&[answer("[0.10],[2]", "0.1", "USD")], 2).unwrap();
    merger.add(&[answer("[3]", "0.20", "USD")], 1).unwrap();
    assert_eq!(
        merger.whole(),
        r#"{"model":"m","embeddings":[[0.10],[2],[3]],"usage":{"tokens":4,"total_tokens":6,"unit_price":"0.1","price_unit":"0.001","total_price":"0.3","currency":"USD","latency":1.0}}"#
    );
    let mut merger = Merger::new(Action::GetTextEmbeddingNumTokens);
    merger.add(&[Bytes::from_static(br#"{"num_tokens":[1,2]}"#)], 2).unwrap();
    merger.add(&[Bytes::from_static(br#"{"num_tokens":[3]}"#)], 1).unwrap();
    assert_eq!(merger.whole(), r#"{"num_tokens":[1,2,3]}"#);
}

#[test]
fn answers_that_do_not_go_together() {
    let check = |answers: &[Bytes], expected: usize, text: &str| {
        let mut merger = Merger::new(Action::InvokeTextEmbedding);
        merger.add(&[answer("[1]", "0.1", "USD")], 1).unwrap();
        let mismatch = merger.add(answers, expected).unwrap_err();
        assert_eq!(
            mismatch.text(Action::InvokeTextEmbedding, 1),
            format!("ServerlessBatchResultMismatch: action=invoke_text_embedding batch_index=1 {text}")
        );
    };
    check(&[], 2, "expected_items=2 actual_items=0 response_count=0 reason=response_count");
    check(&[answer("[1]", "0", "USD")], 2, "expected_items=2 actual_items=1 response_count=1 reason=embedding_count");
    check(&[answer("[1]", "0", "EUR")], 1, "expected_items=1 actual_items=1 response_count=1 reason=currency");
}
