"""Work on the Pulumi program and what it made: recording, rendering, images, cost, a local cluster, RDS."""
