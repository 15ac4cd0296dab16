INSERT INTO flink_alert SELECT alert_id, kind, card_token, first_time, last_time, transactions FROM alerts;
INSERT INTO alert_topic SELECT alert_id, kind, card_token, first_time, last_time, transactions FROM alerts;
