"""HTTP: what other programs and browsers ask of geolab. Nothing here is imported by the layers below."""
