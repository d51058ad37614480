"""Rotates secrets in AWS Secrets Manager: a function of AWS Lambda, shipped as this folder with only boto3 beside it.

Nothing here may import the rest of the project, so imports are relative. `infra/aws/rotation.py` makes the archive.

Secrets Manager calls the function four times for each rotation (create, set, test, finish). After a failure it may
start again at any of these, so each step first looks at the present state, and repeating a step changes nothing. A new
value becomes AWSPENDING, then AWSCURRENT; the value it replaces stays as AWSPREVIOUS. The secret's tag
`churn:rotation` says what kind it is:

``api-key``: a client's key, of which the API knows only the hash. `set` adds the new hash beside the old one in the
file that the pods mount, `test` waits until every pod must have read that file, and only then does `finish` hand the
new key to the client. The old key keeps working for OVERLAP_DAYS; a daily call with ``{"action": "retire"}`` then
removes its hash.

``mlflow-user``, ``mlflow-admin``, ``grafana-admin``: a password, which `set` changes in the service itself over HTTPS.

When a schedule is set, Secrets Manager calls `test` alone, before the services exist: nothing is new then, and nothing
is tested. After a restore of the database a service knows the previous password, and `set` logs in with that one.

A deployment calls the function too, with ``{"action": "reconcile", ...}``: each secret without a value gets its first
one, and the key file gets exactly the clients of the list (`reconcile.py`).

No log line and no error contains the value of a secret.
"""
