BEGIN TRANSACTION;
CREATE TABLE deadreckon_announced (
	model VARCHAR NOT NULL, 
	segment VARCHAR NOT NULL, 
	metric VARCHAR NOT NULL, 
	state TEXT NOT NULL, 
	PRIMARY KEY (model, segment, metric)
);
INSERT INTO "deadreckon_announced" VALUES('credit','','roc_auc','{}');
CREATE TABLE deadreckon_chunk (
	model VARCHAR NOT NULL, 
	chunk VARCHAR NOT NULL, 
	fingerprint TEXT NOT NULL, 
	n_rows BIGINT NOT NULL, 
	n_labels BIGINT NOT NULL, 
	counts BLOB NOT NULL, 
	PRIMARY KEY (model, chunk)
);
INSERT INTO "deadreckon_chunk" VALUES('credit','2026-01-05','fingerprint',100,0,X'636F756E7473');
CREATE TABLE deadreckon_estimator (
	model VARCHAR NOT NULL, 
	from_chunk VARCHAR NOT NULL, 
	fingerprint TEXT NOT NULL, 
	data BLOB NOT NULL, 
	PRIMARY KEY (model, from_chunk)
);
INSERT INTO "deadreckon_estimator" VALUES('credit','','fingerprint',X'6279746573');
CREATE TABLE deadreckon_label_feed (
	model VARCHAR NOT NULL, 
	since BIGINT, 
	n_since BIGINT NOT NULL, 
	expected BIGINT NOT NULL, 
	missing BIGINT NOT NULL, 
	PRIMARY KEY (model)
);
INSERT INTO "deadreckon_label_feed" VALUES('credit',5,1,430,412);
CREATE TABLE deadreckon_message (
	id INTEGER NOT NULL, 
	model TEXT NOT NULL, 
	as_of BIGINT NOT NULL, 
	content TEXT NOT NULL, 
	sent BOOLEAN NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "deadreckon_message" VALUES(1,'credit',10,'{"kind": "sudden"}',0);
CREATE TABLE deadreckon_model (
	model VARCHAR NOT NULL, 
	as_of BIGINT, 
	until BIGINT, 
	PRIMARY KEY (model)
);
INSERT INTO "deadreckon_model" VALUES('credit',10,NULL);
CREATE TABLE deadreckon_piece (
	model VARCHAR NOT NULL, 
	feed VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	version TEXT NOT NULL, 
	PRIMARY KEY (model, feed, path)
);
INSERT INTO "deadreckon_piece" VALUES('credit','predictions','a.parquet','1:2');
CREATE TABLE deadreckon_result (
	model VARCHAR NOT NULL, 
	segment VARCHAR NOT NULL, 
	chunk VARCHAR NOT NULL, 
	metric VARCHAR NOT NULL, 
	revision BIGINT NOT NULL, 
	as_of BIGINT NOT NULL, 
	start BIGINT, 
	"end" BIGINT, 
	n_rows BIGINT NOT NULL, 
	n_labels BIGINT NOT NULL, 
	value DOUBLE, 
	lower DOUBLE, 
	upper DOUBLE, 
	expected_lower DOUBLE, 
	expected_upper DOUBLE, 
	standard_error DOUBLE, 
	calibration_error DOUBLE, 
	estimated DOUBLE, 
	realized DOUBLE, 
	lower_threshold DOUBLE, 
	upper_threshold DOUBLE, 
	breach_probability DOUBLE, 
	alert BOOLEAN NOT NULL, 
	note TEXT NOT NULL, 
	remembered_value DOUBLE, 
	remembered_lower DOUBLE, 
	remembered_upper DOUBLE, trust TEXT DEFAULT 'good' NOT NULL, 
	PRIMARY KEY (model, segment, chunk, metric)
);
INSERT INTO "deadreckon_result" VALUES('credit','','2026-01-05','roc_auc',1,10,1,9,100,0,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0,'',0.5,0.5,0.5,'doubtful');
CREATE TABLE deadreckon_result_history (
	model VARCHAR NOT NULL, 
	segment VARCHAR NOT NULL, 
	chunk VARCHAR NOT NULL, 
	metric VARCHAR NOT NULL, 
	revision BIGINT NOT NULL, 
	as_of BIGINT NOT NULL, 
	start BIGINT, 
	"end" BIGINT, 
	n_rows BIGINT NOT NULL, 
	n_labels BIGINT NOT NULL, 
	value DOUBLE, 
	lower DOUBLE, 
	upper DOUBLE, 
	expected_lower DOUBLE, 
	expected_upper DOUBLE, 
	standard_error DOUBLE, 
	calibration_error DOUBLE, 
	estimated DOUBLE, 
	realized DOUBLE, 
	lower_threshold DOUBLE, 
	upper_threshold DOUBLE, 
	breach_probability DOUBLE, 
	alert BOOLEAN NOT NULL, 
	note TEXT NOT NULL, 
	gone BOOLEAN NOT NULL, trust TEXT DEFAULT 'good' NOT NULL, 
	PRIMARY KEY (model, segment, chunk, metric, revision)
);
INSERT INTO "deadreckon_result_history" VALUES('credit','','2026-01-05','roc_auc',1,10,1,9,100,0,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0,'',0,'doubtful');
CREATE TABLE deadreckon_run (
	id INTEGER NOT NULL, 
	model TEXT NOT NULL, 
	started TEXT NOT NULL, 
	ended TEXT NOT NULL, 
	exit_code INTEGER NOT NULL, 
	summary TEXT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE deadreckon_schema (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "deadreckon_schema" VALUES(3);
CREATE TABLE deadreckon_verdict (
	model VARCHAR NOT NULL, 
	segment VARCHAR NOT NULL, 
	metric VARCHAR NOT NULL, 
	revision BIGINT NOT NULL, 
	as_of BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	probability DOUBLE NOT NULL, 
	sentence TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (model, segment, metric, revision)
);
INSERT INTO "deadreckon_verdict" VALUES('credit','','roc_auc',1,10,'stable',0.9,'s','{}');
COMMIT;
