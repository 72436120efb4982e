use http_body_util::BodyExt as _;
use plugin_protocol::{Action, ErrorObject};
use plugin_runtime::{Event, Failure};
use serde_json::Value;

use super::*;
use plugin_calls::invocation::testing::{Opened, Stage};

async fn answer(say: impl FnOnce(&Opened)) -> Response {
    let mut stage = Stage::alone();
    let (call, opened) = stage.open(Action::InvokeEndpoint).await;
    say(&opened);
    opened.plugin.push(Event::End);
    respond(call, true).await
}

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn an_answer_in_one_piece_has_a_length() {
    let response = answer(|plugin| {
        plugin
            .says(r#"{"status":201,"headers":{"X-A":"é","Content-Length":"9","Connection":"close"},"result":"6869"}"#);
    })
    .await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.headers().iter().count(), 1);
    assert_eq!(response.headers()["x-a"].as_bytes(), "é".as_bytes());
    assert_eq!(hyper::body::Body::size_hint(response.body()).exact(), Some(2));
    assert_eq!(text(response).await, "hi");
}

#[tokio::test]
async fn heads_are_gathered_and_pieces_are_joined() {
    let response = answer(|plugin| {
        for piece in [
            r#"{"status":500}"#,
            r#"{"status":202,"headers":{"Set-Cookie":"a=1"}}"#,
            r#"{"headers":{"Set-Cookie":"b=2"}}"#,
            r#"{"result":""}"#,
            r#"{"result":"61"}"#,
            "{}",
            r#"{"result":null}"#,
            r#"{"result":"62"}"#,
        ] {
            plugin.says(piece);
        }
    })
    .await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    let mut body = response.into_body();
    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(frame, "ab", "what is ready leaves in one go");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn an_answer_without_pieces() {
    for pieces in [&[][..], &["{}"], &[r#"{"headers":{"A":"1"}}"#]] {
        let response = answer(|plugin| pieces.iter().for_each(|piece| plugin.says(piece))).await;
        assert_eq!((response.status(), text(response).await.as_str()), (StatusCode::OK, ""));
    }
}

async fn refused(say: impl FnOnce(&Opened)) -> (u16, Value) {
    let response = answer(say).await;
    let status = response.status().as_u16();
    let envelope: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(envelope["code"], -500);
    let outer: Value = serde_json::from_str(envelope["message"].as_str().unwrap()).unwrap();
    assert_eq!(outer["error_type"], "PluginDaemonInternalServerError");
    (status, serde_json::from_str(outer["message"].as_str().unwrap()).unwrap())
}

#[tokio::test]
async fn errors_before_the_body_show_nothing_of_the_inside() {
    let error = ErrorObject::new("Sad", "it broke").with("traceback", "T-B");
    let plain = serde_json::json!({"args": null, "error_type": "Sad", "message": "it broke"});
    let answer = refused(|plugin| {
        plugin.says(r#"{"status":200}"#);
        plugin.plugin.push(Event::Error(error));
    });
    assert_eq!(answer.await, (500, plain));
    let exit = Failure::WorkerExited { exit: "code 1".into(), out_of_memory: false, stderr: "secret".into() };
    let (status, inner) = refused(|plugin| _ = plugin.plugin.push(Event::Failed(exit))).await;
    assert_eq!((status, inner["message"].as_str()), (502, Some("the plugin went away before it answered")));
    for piece in [
        r#"{"status":101,"result":""}"#,
        r#"{"status":99,"result":""}"#,
        r#"{"status":1000,"result":""}"#,
        r#"{"headers":{"bad name":"1"},"result":""}"#,
        r#"{"headers":{"X-A":"b\r\nX-Evil: 1"},"result":""}"#,
        r#"{"result":"6x"}"#,
    ] {
        let (status, inner) = refused(|plugin| plugin.says(piece)).await;
        assert_eq!((status, inner["error_type"].as_str()), (500, Some("unmarshal_error")), "{piece}");
    }
}

#[tokio::test]
async fn errors_amid_the_body_break_it() {
    for broken in [Event::Chunk(r#"{"result":"6x"}"#.into()), Event::Error(ErrorObject::new("Sad", "it broke"))] {
        let response = answer(|plugin| {
            plugin.says(r#"{"status":200,"result":"6869"}"#);
            plugin.plugin.push(broken);
        })
        .await;
        let mut body = response.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "hi", "what came before is delivered");
        assert!(body.frame().await.unwrap().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_before_the_body_has_a_status() {
    let mut stage = Stage::alone();
    let (call, _opened) = stage.open(Action::InvokeEndpoint).await;
    assert_eq!(respond(call, true).await.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn a_body_that_nobody_wants_does_not_stop_the_plugin() {
    let mut stage = Stage::alone();
    let (call, opened) = stage.open(Action::InvokeEndpoint).await;
    opened.says(r#"{"status":200,"headers":{"X-A":"1"},"result":"6869"}"#);
    let response = respond(call, false).await;
    assert_eq!(response.headers()["x-a"], "1");
    assert_eq!(text(response).await, "");
    tokio::task::yield_now().await;
    assert!(!opened.is_dropped());
    opened.plugin.push(Event::End);
    while !opened.is_dropped() {
        tokio::task::yield_now().await;
    }
    assert!(stage.counted("success"));
}
