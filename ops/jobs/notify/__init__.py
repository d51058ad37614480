"""Tells people of AWS' own alarms, by the channels that Alertmanager uses: a function of AWS Lambda, with only boto3.

CloudWatch's alarms come through SNS, a few events of RDS and Secrets Manager through EventBridge. Nothing here may
import the rest of the project, so imports are relative. `infra/aws/notify.py` makes the archive.

No log line and no error contains the value of a secret.
"""
