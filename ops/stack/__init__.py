"""Work on the Pulumi program: recording, rendering, images, cost."""
