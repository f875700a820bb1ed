import random
import pytest
from duly_testing.eventually import eventually
from scoring.application.pure_fold import pure_fold
from duly.risk.v1 import state_pb2
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]
def test_repro(worker, send, read_topic, play_ledger, rules):
    seed=2
    rng = random.Random(seed)
    book = play_ledger(seed=seed, debtors=60, days=60, live_days=20)
    expected = pure_fold(book.records, rules, book.partitions)
    quarter = len(book.records) // 4
    marks=[]
    for life in range(4):
        send(book.records[life * quarter : (life + 1) * quarter])
        worker.start()
        target = rng.randrange(1, 200)
        eventually(lambda at_least=target: worker.facts() >= at_least, 60)
        st=worker.status()
        worker.kill()
        marks.append((len(read_topic("scoring-debtors-changelog")), target, st))
    send(book.records[4 * quarter :])
    worker.start()
    worker.until_applied(book.ends)
    recs=read_topic("scoring-debtors-changelog")
    table = {record.key: record.value for record in recs}
    bl=expected.blobs()
    bad=[k for k in bl if table.get(k)!=bl[k]]
    print("quarter",quarter,"bad",len(bad),len(bl)); 
    for m in marks: print(m)
    for k in bad[:3]:
        print(k)
        for r in recs:
            if r.key==k:
                s=state_pb2.DebtorState.FromString(r.value); print("  cl",r.partition,r.offset,"applied",s.applied.offset,"facts",s.facts_applied)
        print([r.offset for r in book.records if r.key==k])
    print(worker.log.read_text()[-6000:])
    assert not bad
