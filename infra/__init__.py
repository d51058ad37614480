"""The platform as one Pulumi program."""
