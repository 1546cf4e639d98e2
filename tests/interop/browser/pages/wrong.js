console.error('something broke');
