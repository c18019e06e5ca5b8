from distiller import none
from tests import fakes


def test_there_is_no_term_and_no_teacher():
    method = none.NoDistillation({}, {}, fakes.data())
    assert method.loss(fakes.output(), None, {}) == {}
    assert not method.uses_teacher
    assert method.task_weight == 1.0
    assert method.variables == ()
