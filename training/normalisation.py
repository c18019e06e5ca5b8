"""Whose mean and deviation scale the student's images.

They are the data set's for every method, so that a comparison with the student alone
holds no change of scale; for a teacher of another normalisation images are converted.
"""


def source(settings, dataset, teacher):
    """What has the `mean` and `std` of a student that is built.

    Args:
        settings: an `settings.Options`.
        dataset: a `dataloader.Dataset`.
        teacher: a net, or None.
    """
    is_teachers = settings.normalisation == "teacher" and teacher is not None
    return teacher if is_teachers else dataset


def of_earlier_versions(settings, is_converted: bool) -> dict[str, str]:
    """The setting of a run whose config.json is of before there was one.

    Whatever teacher there was, its mean and deviation were a built student's, too.

    Args:
        settings: an `settings.Options`, of what would go on in its folder.
        is_converted: whether images would be converted for the teacher.
    """
    found = settings.normalisation
    if is_converted and not settings.is_file("student"):
        found = "teacher"
    return {"normalisation": found}
