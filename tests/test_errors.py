import inspect

from geolab import errors


def test_every_error_is_one_printable_line_even_with_hostile_names():
    hostile = "a\nb\x1b[31m\u202e<script>"
    made = [
        errors.FileRejected(hostile, hostile),
        errors.NotFound("item", hostile, known=[hostile], remedy=hostile),
        errors.GridMismatch(hostile, hostile, what="CRS"),
        errors.BadInput(hostile, found=hostile, expected=hostile, remedy=hostile),
        errors.SettingsError(hostile, hostile, found=hostile, expected=hostile),
        errors.MissingExtra("splats", extra="splats", cause=hostile),
        errors.LedgerError(hostile, hostile),
    ]
    for error in made:
        assert str(error).isprintable()


def test_all_errors_derive_from_geolab_error():
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]
    assert all(issubclass(c, errors.GeolabError) for c in classes)


def test_not_found_suggests_the_closest_name():
    error = errors.NotFound("notebook", "03_train_chnge", known=["01_ingest", "03_train_change"])
    assert str(error) == "no notebook '03_train_chnge'; did you mean '03_train_change'?"


def test_grid_mismatch_says_what_to_type():
    message = str(errors.GridMismatch("may.tif", "june.tif", what="CRS"))
    assert message.startswith("june.tif has another CRS than may.tif; align it first: ")
