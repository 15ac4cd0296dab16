//! Tests what targets of `alerts.toml` may say, and the forms of notifications.

use ccstream_analysis::alerts;
use ccstream_analysis::notify::{Channel, Form, Mail, Notice, Noticed, Secret, Target, What};
use ccstream_analysis::toml::{Parsed, parse};
use serde_json::{Value, json};

const RULE: &str = "[[alert]]\nname = \"a\"\nkind = \"transaction\"\nwhere = \"amount > 5\"\n";

fn target(keys: &str) -> Target {
    let parsed: Parsed<Target> = parse(&format!("[[notify]]\nname = \"t\"\n{keys}"));
    assert_eq!(parsed.wrong, [], "{keys}");
    parsed.right[0].clone()
}

#[test]
fn targets_are_read() {
    let webhook = target("webhook = \"https://example.com/x?y=z\"\n");
    assert_eq!(webhook.channel, Channel::Webhook(Secret::Written("https://example.com/x?y=z".into()), Form::Json));
    assert_eq!((webhook.severity, webhook.resolved, webhook.group), (alerts::Severity::Info, false, 30_000_000));
    assert!(webhook.rules.is_empty());
    let full = "webhook_env = \"SLACK\"\nform = \"slack\"\nseverity = \"critical\"\nrules = [\"a\", \"b\"]\nresolved = true\ngroup = \"0s\"\n";
    let full = target(full);
    assert_eq!(full.channel, Channel::Webhook(Secret::Variable("SLACK".into()), Form::Slack));
    assert_eq!((full.rules, full.resolved, full.group), (vec!["a".to_owned(), "b".into()], true, 0));
    assert_eq!(target("topic = \"alerts_json\"\n").channel, Channel::Topic("alerts_json".into()));
    let mail = |keys: &str| match target(keys).channel {
        Channel::Mail(mail) => mail,
        other => panic!("{other:?}"),
    };
    let expected = Mail {
        to: "a@example.com".into(),
        from: "me@example.com".into(),
        host: "smtp.example.com".into(),
        port: 587,
        is_tls: false,
        login: Some(("me@example.com".into(), Secret::Variable("P".into()))),
    };
    let keys =
        "email = \"a@example.com\"\nsmtp = \"smtp://me@example.com@smtp.example.com\"\nsmtp_password_env = \"P\"\n";
    assert_eq!(mail(keys), expected);
    let other = mail("email = \"a@b\"\nfrom = \"c@d\"\nsmtp = \"smtps://relay\"\n");
    assert_eq!((other.from.as_str(), other.port, other.is_tls, other.login), ("c@d", 465, true, None));
}

#[test]
fn a_file_has_rules_and_targets_and_each_is_read_by_its_own() {
    let text =
        format!("{RULE}[[notify]]\nname = \"a\"\nwebhook = \"http://x\"\n[[notify]]\nname = \"b\"\nurl = \"x\"\n");
    let rules = alerts::parse(&text);
    assert_eq!((rules.right.len(), rules.wrong.len()), (1, 0));
    let targets: Parsed<Target> = parse(&text);
    assert_eq!((targets.right.len(), targets.wrong.len()), (1, 1));
    assert!(targets.wrong[0].to_string().starts_with("line 9, column 8: b: a target needs one of webhook"));
}

#[test]
fn what_is_wrong_is_explained_without_secrets() {
    let mail = "email = \"a@b\"\nsmtp = \"smtp://u@h\"\nsmtp_password_env = \"P\"\nfrom = \"c@d\"\n";
    for (keys, says) in [
        ("webhook = \"ftp://secret\"\n", "line 3, column 11: t: write a URL that begins with https://"),
        ("webhook = \"https://u:secret@h/\"\n", "line 3, column 11: t: the URL has a user"),
        ("webhook = \"https:///secret\"\n", "line 3, column 11: t: the URL has no host"),
        ("webhook = \"https://h/a secret\"\n", "line 3, column 11: t: the URL has no host, or a character"),
        ("webhook = \"http://h\"\ntopic = \"a\"\n", "line 4, column 9: t: a target has exactly one of"),
        ("webhook = \"http://h\"\nform = \"xml\"\n", "line 4, column 8: t: there is no form \"xml\"; use json, slack"),
        ("topic = \"a\"\nform = \"json\"\n", "line 4, column 1: t: there is no key \"form\""),
        ("topic = \"a b\"\n", "line 3, column 9: t: a topic has"),
        ("topic = \"a\"\nrules = \"a\"\n", "line 4, column 9: t: write rules as a list"),
        ("topic = \"a\"\nresolved = 1\n", "line 4, column 12: t: write resolved as true or false"),
        ("topic = \"a\"\nseverity = \"bad\"\n", "line 4, column 12: t: there is no severity"),
        (
            "topic = \"a\"\ngroup = \"2d\"\n",
            "line 4, column 9: t: write group as a whole number and s, m, h, d or w, from 0s to 1d",
        ),
        ("webhook_env = \"https://secret\"\n", "line 3, column 15: t: write the name of an environment variable"),
        ("email = \"a\"\n", "line 3, column 9: t: write one address"),
        ("email = \"a@b\"\n", "line 1, column 1: t: an e-mail needs smtp"),
        (&mail.replace("u@h", "u:secret@h"), "line 4, column 8: t: the URL has a password"),
        (&mail.replace("u@h", "u@h:port"), "line 4, column 8: t: write a host and a port"),
        (&mail.replace("u@h", "h"), "line 5, column 21: t: a password needs a user"),
        (&mail.replace("smtp_password_env = \"P\"\n", ""), "line 4, column 8: t: a user needs smtp_password_env"),
        (&mail.replace("from = \"c@d\"\n", ""), "line 1, column 1: t: an e-mail needs from"),
        (&format!("{mail}smtp_password_file = \"f\"\n"), "line 7, column 22: t: write smtp_password_env or"),
    ] {
        let parsed: Parsed<Target> = parse(&format!("[[notify]]\nname = \"t\"\n{keys}"));
        let wrong: Vec<String> = parsed.wrong.iter().map(ToString::to_string).collect();
        assert_eq!((wrong.len(), parsed.right.len()), (1, 0), "{keys}: {wrong:?}");
        assert!(wrong[0].starts_with(says), "{} is not: {says}", wrong[0]);
        assert!(!wrong[0].contains("secret"), "{}", wrong[0]);
    }
    let target = target("webhook = \"https://example.com/secret\"\n");
    assert!(!format!("{target:?}").contains("secret"));
}

fn noticed(id: i64) -> Noticed {
    Noticed {
        id,
        version: 2,
        key: Some(format!("card {id}")),
        severity: "critical".into(),
        opened_at: "2026-01-05T10:00:00.000000Z".into(),
        closed_at: None,
        why: "{\"amount\":100.01}".into(),
        text: "100.01 <b> & more".into(),
        runbook: Some("https://example.com/large".into()),
    }
}

fn notice(alerts: i64, what: What) -> Notice {
    let alerts = (1..=alerts).map(noticed).collect();
    Notice { key: "k".into(), target: "t".into(), rule: "large".into(), what, alerts }
}

fn body(notice: &Notice, form: Form) -> Value {
    serde_json::from_str(&notice.body(form)).expect("the body is JSON")
}

#[test]
fn json_lists_twenty_alerts() {
    let one = body(&notice(1, What::Opened), Form::Json);
    let expected = json!({
        "key": "k", "target": "t", "rule": "large", "what": "opened", "severity": "critical", "count": 1, "others": 0,
        "alerts": [{
            "id": 1, "version": 2, "key": "card 1", "severity": "critical", "opened_at": "2026-01-05T10:00:00.000000Z",
            "closed_at": null, "text": "100.01 <b> & more", "runbook": "https://example.com/large",
            "why": { "amount": 100.01 },
        }],
    });
    assert_eq!(one, expected);
    let many = body(&notice(25, What::Opened), Form::Json);
    assert_eq!((&many["count"], &many["others"]), (&json!(25), &json!(5)));
    assert_eq!(many["alerts"].as_array().unwrap().len(), 20);
}

#[test]
fn slack_gets_a_text_and_sections_within_its_limits() {
    let one = body(&notice(1, What::Closed), Form::Slack);
    assert_eq!(one["text"], "Alert large (critical, closed): card 1");
    let block = &one["blocks"][0];
    assert_eq!((&block["type"], &block["text"]["type"]), (&json!("section"), &json!("mrkdwn")));
    let text = block["text"]["text"].as_str().unwrap();
    assert!(text.contains("100.01 &lt;b&gt; &amp; more"), "{text}");
    let mut many = notice(1_000, What::Opened);
    for alert in &mut many.alerts {
        alert.text = "&é".repeat(2_000);
        alert.runbook = Some("&".repeat(500));
    }
    let many = body(&many, Form::Slack);
    let blocks = many["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50, "{}", blocks.len());
    for block in blocks {
        let length = block["text"]["text"].as_str().unwrap().chars().count();
        assert!((1..=3_000).contains(&length), "{length}");
    }
    let last = blocks.last().unwrap()["text"]["text"].as_str().unwrap();
    assert!(last.ends_with("and 980 more"), "{last}");
}

#[test]
fn alertmanager_gets_all_alerts_with_the_same_labels_when_they_are_closed() {
    let opened = body(&notice(25, What::Opened), Form::Alertmanager);
    let mut closed = notice(1, What::Closed);
    closed.alerts[0].closed_at = Some("2026-01-05T11:00:00.000000Z".into());
    let closed = body(&closed, Form::Alertmanager);
    let opened = opened.as_array().unwrap();
    assert_eq!(opened.len(), 25);
    let labels = json!({
        "alertname": "large", "severity": "critical", "service": "ccstream", "alert_id": "1", "key": "card 1",
    });
    assert_eq!(opened[0]["labels"], labels);
    assert_eq!(opened[0]["labels"], closed[0]["labels"]);
    assert_eq!(opened[0]["annotations"]["runbook_url"], "https://example.com/large");
    assert_eq!((&opened[0]["startsAt"], opened[0].get("endsAt")), (&json!("2026-01-05T10:00:00.000000Z"), None));
    assert_eq!(closed[0]["endsAt"], "2026-01-05T11:00:00.000000Z");
    // All annotations and labels are texts.
    let are_texts = |value: &Value| value.as_object().unwrap().values().all(Value::is_string);
    assert!(are_texts(&opened[0]["labels"]) && are_texts(&opened[0]["annotations"]));
}

#[test]
fn an_email_has_one_line_as_its_subject() {
    let mut one = notice(1, What::Opened);
    one.alerts[0].key = Some("a\r\nBcc: x@example.com".into());
    assert_eq!(one.subject(), "[ccstream] Alert large (critical): a  Bcc: x@example.com");
    let many = notice(22, What::Opened);
    assert_eq!(many.subject(), "[ccstream] 22 alerts large (critical)");
    assert!(many.text().ends_with("\nand 2 more\n"));
    assert!(many.text().contains("100.01 <b> & more\n(alert 1, opened 2026-01-05T10:00:00.000000Z)\nSee https://"));
}
