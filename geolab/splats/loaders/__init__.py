"""What reads posed photos: one module for each format; `geolab.splats.scene` is the door."""
