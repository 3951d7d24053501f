module offheap.test/churn

go 1.19
